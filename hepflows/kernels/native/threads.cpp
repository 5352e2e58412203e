// Threads and memory. The threads are those of the OpenMP runtime that torch has loaded: a second runtime, or threads of our
// own, would fight with torch's for the cores. No runtime is linked; where none is loaded, everything runs on one thread.
#include <cstdlib>

#include <dlfcn.h>
#include <sys/mman.h>

#include <atomic>

#include "kernels.h"

namespace {

using Fork = void (*)(void (*)(void*), void*, unsigned, unsigned);  // GOMP_parallel, stable since GCC 4.9

struct Team {
  std::atomic<int> next{0};
  int workers;
  void (*body)(void*, int);
  void* context;
};

void member(void* argument) {
  Team& team = *static_cast<Team*>(argument);
  for (int worker; (worker = team.next.fetch_add(1)) < team.workers;) team.body(team.context, worker);
}

}  // namespace

static Fork runtime() {
  static const Fork fork = reinterpret_cast<Fork>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  return fork;
}

bool threaded() { return runtime() != nullptr; }

void parallel(int workers, void (*body)(void*, int), void* context) {
  const Fork fork = runtime();
  Team team;
  team.workers = workers, team.body = body, team.context = context;
  if (workers > 1 && fork)
    fork(member, &team, static_cast<unsigned>(workers), 0);
  else
    member(&team);
}

void prefer_large_pages(void* memory, int64_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t page = 1 << 21;
  const uintptr_t start = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / page * page;
  if (memory && end > start) madvise(reinterpret_cast<void*>(start), end - start, MADV_HUGEPAGE);
#endif
}

Scratch::Scratch(int64_t floats) : data(nullptr) {
  if (floats >= 0) data = static_cast<float*>(std::aligned_alloc(64, (floats * sizeof(float) + 127) / 64 * 64));
}

Scratch::~Scratch() { std::free(data); }

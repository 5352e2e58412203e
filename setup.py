"""The compiled kernels; everything else of the build stands in pyproject.toml.

Each instruction set is the same source with flags of its own, and the one that the processor has is chosen when the module is loaded: a
build runs on every machine of its architecture. No function is shared between the sets (see kernels.h). A machine without a compiler
installs too and computes in pure torch.
"""

import os
import platform
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

SOURCES = Path("hepflows/kernels/native")
FLAGS = [
    *("-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
    *("-fvisibility=hidden", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Wno-maybe-uninitialized"),
    # Python's own flags ask for debug information, ten times the size of the code: it is kept where the user asks
    *([] if "-g" in os.environ.get("CXXFLAGS", "").split() else ["-g0"]),
]
INSTRUCTION_SETS = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
}


class BuildKernels(build_ext):
    """Compile the kernels once for each instruction set, then the module that holds them."""

    def run(self) -> None:
        self.in_place = self.inplace or self.editable_mode  # build_ext forgets while it builds
        super().run()

    def build_extension(self, ext: Extension) -> None:
        built, target = (
            SOURCES.parent / Path(self.get_ext_filename(ext.name)).name,
            Path(self.get_ext_fullpath(ext.name)),
        )
        if self.in_place and not self.force and not newer_group(ext.depends, str(built)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(built, target)  # newer than its sources: no need to compile again
            return
        try:
            self._compile(ext)
        except Exception:
            self.warn("the kernels could not be compiled (set CXX to a C++17 compiler); pure torch takes their place")
            raise

    def _compile(self, ext: Extension) -> None:
        x86 = platform.machine().lower() in {"x86_64", "amd64", "i686"}
        for name, flags in INSTRUCTION_SETS.items():
            if x86 or not flags:
                ext.extra_objects += self.compiler.compile(
                    [str(SOURCES / "kernels.cpp")],
                    output_dir=str(Path(self.build_temp) / name),
                    macros=[("HEPFLOWS_ISA", name)],
                    extra_postargs=[*FLAGS, *flags],
                    depends=ext.depends,
                )
        if not x86:
            ext.define_macros.append(("HEPFLOWS_ONE_ISA", "1"))
        super().build_extension(ext)


setup(
    ext_modules=[
        Extension(
            "hepflows.kernels._native",
            [str(SOURCES / "module.cpp"), str(SOURCES / "threads.cpp")],
            depends=["setup.py", *(str(path) for path in sorted(SOURCES.glob("*")))],
            extra_compile_args=FLAGS,
            language="c++",
            py_limited_api=True,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)

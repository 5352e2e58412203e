// All kernels for one instruction set. Compiled once for each, with HEPFLOWS_ISA naming it and the flags that it needs.
#include "elements.h"
#include "head.h"
#include "head_backward.h"
#include "sweep.h"

#define TABLE_OF(isa) kernels_##isa
#define TABLE(isa) TABLE_OF(isa)
#define TEXT_OF(isa) #isa
#define TEXT(isa) TEXT_OF(isa)

using namespace HEPFLOWS_ISA;

const Kernels TABLE(HEPFLOWS_ISA) = {
    TEXT(HEPFLOWS_ISA), spline_elements, spline_elements, head, head_backward, sweep};

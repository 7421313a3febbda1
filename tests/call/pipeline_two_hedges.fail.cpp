// SPDX-License-Identifier: MIT
// expect-error: Pipeline: a Hedge inside a Hedge multiplies their calls
#include <belay/call/hedge.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/timeout.hpp>

using namespace belay;
using namespace std::chrono_literals;

#if defined(BELAY_CONTROL)
Pipeline pipeline{Hedge{50ms, 1}, Timeout{1s}};
#else
Pipeline pipeline{Hedge{50ms, 1}, Timeout{1s}, Hedge{10ms, 1}};
#endif

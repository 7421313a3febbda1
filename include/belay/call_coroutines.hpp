// SPDX-License-Identifier: MIT
/// \file belay/call_coroutines.hpp
/// Includes calls that wait as coroutines: Task, and awaitable retry, Pipeline and Hedge.
///
/// LoopSleeper, which waits in a Loop, is in belay/drive.hpp.
#pragma once

#include <belay/call/async_sleeper_like.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/call/task.hpp>

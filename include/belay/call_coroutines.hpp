// SPDX-License-Identifier: MIT
/// \file belay/call_coroutines.hpp
/// Calls that wait as coroutines: Task, and the retry that is awaited. LoopSleeper, which waits in
/// a Loop, is in belay/drive.hpp.
#pragma once

#include <belay/call/async_sleeper_like.hpp>
#include <belay/call/retry_task.hpp>
#include <belay/call/task.hpp>

// SPDX-License-Identifier: MIT
/// \file belay/drive.hpp
/// Includes the main headers of the component drive: loops and sleepers. A loop has its own thread,
/// runs on an event loop of another library, or is polled.
#pragma once

#include <belay/drive/loop.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/drive/manual_loop.hpp>
#include <belay/drive/on_event_loop.hpp>
#include <belay/drive/thread_sleeper.hpp>

// SPDX-License-Identifier: MIT
/// \file belay/drive.hpp
/// All of drive/: loops of a thread of their own, of somebody else, or polled; and sleepers.
#pragma once

#include <belay/drive/loop.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/drive/manual_loop.hpp>
#include <belay/drive/on_event_loop.hpp>
#include <belay/drive/thread_sleeper.hpp>

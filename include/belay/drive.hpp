// SPDX-License-Identifier: MIT
/// \file belay/drive.hpp
/// All of drive/: loops of a thread of their own, and sleepers.
#pragma once

#include <belay/drive/loop.hpp>
#include <belay/drive/loop_sleeper.hpp>
#include <belay/drive/thread_sleeper.hpp>

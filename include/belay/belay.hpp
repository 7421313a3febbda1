// SPDX-License-Identifier: MIT
/// \file belay/belay.hpp
/// All of belay that needs only the standard library. Simulation is in belay/sim.hpp, descriptors
/// and files in belay/posix.hpp.
#pragma once

#include <belay/core/bytes.hpp>
#include <belay/core/cause.hpp>
#include <belay/core/clock_like.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/mailbox.hpp>
#include <belay/core/manual_clock.hpp>
#include <belay/core/random.hpp>
#include <belay/core/result.hpp>
#include <belay/core/steady_clock.hpp>
#include <belay/core/turn.hpp>
#include <belay/core/waker.hpp>
#include <belay/version.hpp>

// SPDX-License-Identifier: MIT
/// \file belay/core.hpp
/// Includes the main headers of the component core: time and randomness as arguments, errors as
/// values, machines and mailboxes.
///
/// Include belay/core/machine_group.hpp by name if you write a machine that contains other
/// machines.
#pragma once

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/call_counts.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/http_failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/mailbox.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/core/result.hpp>
#include <belay/core/sleeper_like.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/core/tee.hpp>
#include <belay/core/time_window.hpp>
#include <belay/core/timer.hpp>

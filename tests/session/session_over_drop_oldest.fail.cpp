// SPDX-License-Identifier: MIT
// expect-error: Session: a queue that drops operations cannot deliver each exactly once
#include <belay/journal/journal.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/queue/drop_oldest.hpp>
#include <belay/session/session.hpp>
#include <belay/sim/disk.hpp>

#include "support/session/session_archetypes.hpp"

#if defined(BELAY_CONTROL)
using Overflow = belay::Reject;
#else
using Overflow = belay::DropOldest;
#endif
using Queue = belay::Queue<belay::Journal<belay::sim::Disk>, Overflow>;

void use(Queue queue) {
    belay::Session session{belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
                           std::move(queue), belay::SessionOptions{}};
}

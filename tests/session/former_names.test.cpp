// SPDX-License-Identifier: MIT
// Goal: an observer of a Queue or a Receiver with the former hook on_refused is notified as with on_rejected, and former
// errors of a session have the values of the present ones.
// Method: observers with the former hook, the present one, and both; near misses of the former one.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <system_error>

#include <belay/core/tee.hpp>
#include <belay/queue/overflow_like.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/queue_counters.hpp>
#include <belay/queue/ring.hpp>
#include <belay/session/receiver_observer.hpp>
#include <belay/session/session_errc.hpp>
#include <belay/session/session_observer.hpp>

#include "support/catch.hpp"

using namespace belay;

namespace {

struct FormerQueueHook {
    std::error_code* last;
    void on_refused(const std::error_code& why) { *last = why; }
};
struct FormerQueueHookWithQueue {
    std::error_code* last;
    void on_refused(const auto& queue, const std::error_code& why) {
        if (queue.size() == 1) *last = why;
    }
};
struct BothQueueHooks {
    int* calls;
    void on_rejected(const std::error_code&) { ++*calls; }
    void on_refused(const std::error_code&) { *calls += 100; }
};
struct FormerQueueHookWrong : NoObserver {
    void on_refused(int) {}
};
struct FormerReceiverHook {
    void on_refused(SessionErrc, const Id&) {}
};
struct FormerReceiverHookWrong : NoObserver {
    void on_refused(const std::error_code&) {}
};

using QueueRejected = detail::QueueHooks<const detail::NoMachine, int>::Rejected;
static_assert(QueueRejected::right<FormerQueueHook> && QueueRejected::right<BothQueueHooks>);
static_assert(QueueRejected::callable_on<FormerQueueHook>);
static_assert(QueueRejected::right<QueueCounters> && QueueRejected::right<NoObserver>);
static_assert(!QueueRejected::right<FormerQueueHookWrong>);
using ReceiverRejected = detail::ReceiverHooks<const detail::NoMachine>::Rejected;
static_assert(ReceiverRejected::callable_on<FormerReceiverHook>);
static_assert(!ReceiverRejected::right<FormerReceiverHookWrong>);

template <class Observer>
void push_one_too_many(Observer observer) {
    Queue queue{Ring<int, 1>{}, Reject{}, observer};
    CHECK_FALSE(queue.push(1));
    CHECK(queue.push(2) == QueueErrc::queue_full);
}

}  // namespace

TEST_CASE("Queue::push notifies an observer with the former hook on_refused of each rejection",
          "[session][former_names][unit]") {
    std::error_code last;
    push_one_too_many(FormerQueueHook{&last});
    CHECK(last == QueueErrc::queue_full);
    last.clear();
    push_one_too_many(FormerQueueHookWithQueue{&last});
    CHECK(last == QueueErrc::queue_full);
}

TEST_CASE("Queue::push notifies an observer with both hooks by on_rejected only",
          "[session][former_names][unit]") {
    int calls = 0;
    push_one_too_many(BothQueueHooks{&calls});
    CHECK(calls == 1);
}

TEST_CASE("A Tee notifies the former and the present hook of a Queue's rejection",
          "[session][former_names][unit]") {
    std::error_code last;
    int calls = 0;
    push_one_too_many(Tee{FormerQueueHook{&last}, BothQueueHooks{&calls}});
    CHECK(last == QueueErrc::queue_full);
    CHECK(calls == 1);
}

TEST_CASE("SessionErrc has the former names of rolled back sides",
          "[session][former_names][unit]") {
    CHECK(SessionErrc::rolled_back_receiver == SessionErrc::receiver_rolled_back);
    CHECK(SessionErrc::rolled_back_sender == SessionErrc::sender_rolled_back);
}

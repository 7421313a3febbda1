// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/journal/journal.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/framings.hpp>
#include <belay/policy/rules.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/storages.hpp>
#include <belay/session/outbox.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>
#include <belay/sim/disk.hpp>

#include "support/session/session_archetypes.hpp"

// expect-error: LedgerLike: L needs 'std::error_code commit
namespace ledger_without_commit {
struct Ledger : belay_test::MinimalLedger {
    using MinimalLedger::MinimalLedger;
#if !defined(BELAY_CONTROL)
    std::error_code commit() = delete;
#endif
};

std::size_t use() { return sizeof(belay::Receiver<belay_test::MinimalBytesTransport, Ledger>); }
}  // namespace ledger_without_commit

// expect-error: Receiver: the observer's on_rejected must be 'on_rejected
namespace receiver_observer_hook {
struct App {
    void on_committed(const belay::Id&, const belay::Progress&) {}
    // The hook has this form for a queue.
    void on_rejected(const std::error_code&) {}
#if defined(BELAY_CONTROL)
    void on_rejected(belay::SessionErrc, const belay::Id&) {}
#endif
};

void use() {
    belay::Receiver<belay_test::MinimalBytesTransport, belay_test::MinimalLedger, belay::AllowAll,
                    App>
        receiver{belay_test::MinimalLedger{0}};
}
}  // namespace receiver_observer_hook

// expect-error: Receiver: the observer has no hook
namespace receiver_observer_without_hooks {
struct App {
#if defined(BELAY_CONTROL)
    void on_committed(const belay::Id&, const belay::Progress&) {}
#else
    void on_comitted(const belay::Id&, const belay::Progress&) {}
#endif
};

void use() {
    belay::Receiver<belay_test::MinimalBytesTransport, belay_test::MinimalLedger, belay::AllowAll,
                    App>
        receiver{belay_test::MinimalLedger{0}};
}
}  // namespace receiver_observer_without_hooks

// expect-error: Receiver: the transport must carry belay::Bytes
namespace receiver_over_other_messages {
#if defined(BELAY_CONTROL)
using Message = belay::Bytes;
#else
using Message = int;
#endif

struct Transport {
    using message_type = Message;
    struct Connection {
        belay::SendResult send(const Message&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<Message>) { return {}; }
};

std::size_t use() { return sizeof(belay::Receiver<Transport, belay_test::MinimalLedger>); }
}  // namespace receiver_over_other_messages

// expect-error: Session: the observer's on_blocked must be 'on_blocked
namespace session_observer_hook {
struct App {
    void on_accepted(std::uint64_t) {}
#if defined(BELAY_CONTROL)
    void on_blocked(auto&, belay::Blocked, const belay::BlockedDetails&) {}
#else
    void on_blocked(auto&, belay::Blocked) {}
#endif
};

void use(belay_test::MinimalSessionQueue queue) {
    belay::Session session{belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
                           std::move(queue), belay::SessionOptions{}, App{}};
}
}  // namespace session_observer_hook

// expect-error: Session: the observer has no hook
namespace session_observer_without_hooks {
struct App {
#if defined(BELAY_CONTROL)
    void on_accepted(std::uint64_t) {}
#else
    void on_acepted(std::uint64_t) {}
#endif
};

void use(belay_test::MinimalSessionQueue queue) {
    belay::Session session{belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
                           std::move(queue), belay::SessionOptions{}, App{}};
}
}  // namespace session_observer_without_hooks

// expect-error: Session: the queue must not drop operations
namespace session_over_drop_oldest {
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
}  // namespace session_over_drop_oldest

// expect-error: Session: the transport must carry belay::Bytes
namespace session_over_other_messages {
#if defined(BELAY_CONTROL)
using Message = belay::Bytes;
#else
using Message = int;
#endif

struct Transport {
    using message_type = Message;
    struct Connection {
        belay::SendResult send(const Message&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<Message>) { return {}; }
};

using Session = belay::Session<Transport, belay::MaxAttempts, belay_test::MinimalSessionQueue>;

std::size_t use() { return sizeof(Session); }
}  // namespace session_over_other_messages

// expect-error: Session: pass SessionOptions after the queue
namespace session_without_options {
void use(belay_test::MinimalSessionQueue queue) {
#if defined(BELAY_CONTROL)
    belay::Session session{belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
                           std::move(queue), belay::SessionOptions{}};
#else
    belay::Session session{belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
                           std::move(queue)};
#endif
}
}  // namespace session_without_options

// expect-error: Session: pass SessionOptions after the queue
namespace session_observer_without_options {
struct App {
    void on_accepted(std::uint64_t) {}
};

void use(belay_test::MinimalSessionQueue queue) {
#if defined(BELAY_CONTROL)
    belay::Session session{belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
                           std::move(queue), belay::SessionOptions{}, App{}};
#else
    belay::Session session{belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
                           std::move(queue), App{}};
#endif
}
}  // namespace session_observer_without_options

// expect-error: ConnectionLike: the connection needs 'SendResult send
namespace session_over_what_cannot_send {
struct Transport {
    using message_type = belay::Bytes;
    struct Connection {
#if defined(BELAY_CONTROL)
        belay::SendResult send(const belay::Bytes&) noexcept { return belay::SendResult::sent; }
#else
        belay::SendResult send(const belay::Bytes&) { return belay::SendResult::sent; }
#endif
    };
    Connection open(belay::Link<belay::Bytes>) { return {}; }
};

void use(belay_test::MinimalSessionQueue queue) {
    belay::Session session{Transport{}, belay::MaxAttempts{3}, std::move(queue),
                           belay::SessionOptions{}};
}
}  // namespace session_over_what_cannot_send

// expect-error: RuleLike: failed must be 'Advice failed
namespace session_by_a_wrong_rule {
struct Rule {
#if defined(BELAY_CONTROL)
    belay::Advice failed(const belay::Failure&, belay::Turn&) noexcept { return {}; }
#else
    belay::Advice failed(const belay::Failure&, belay::Turn&) { return {}; }
#endif
};

void use(belay_test::MinimalSessionQueue queue) {
    belay::Session session{belay_test::MinimalBytesTransport{0}, Rule{}, std::move(queue),
                           belay::SessionOptions{}};
}
}  // namespace session_by_a_wrong_rule

// expect-error: TransportLike: T needs 'open
namespace receiver_over_what_does_not_open {
struct Transport {
    using message_type = belay::Bytes;
    struct Connection {
        belay::SendResult send(const belay::Bytes&) noexcept { return belay::SendResult::sent; }
    };
#if defined(BELAY_CONTROL)
    Connection open(belay::Link<belay::Bytes>) { return {}; }
#else
    Connection open() { return {}; }
#endif
};

std::size_t use() { return sizeof(belay::Receiver<Transport, belay_test::MinimalLedger>); }
}  // namespace receiver_over_what_does_not_open

// expect-error: Session: the framing of the transport must carry any bytes
namespace session_over_lines {
// posix::Tcp has the same form: the framing is an argument of the transport's template.
template <class Framing>
struct Stream : belay_test::MinimalBytesTransport {
    using MinimalBytesTransport::MinimalBytesTransport;
};
#if defined(BELAY_CONTROL)
using Transport = Stream<belay::LengthPrefixed>;
#else
using Transport = Stream<belay::Lines>;
#endif

std::size_t use() {
    return sizeof(belay::Session<Transport, belay::MaxAttempts, belay_test::MinimalSessionQueue>);
}
}  // namespace session_over_lines

// expect-error: Session: the transport must not contain a Bundle
namespace session_over_a_bundle {
// A decorator has the same form: the bundle is an argument of its template.
template <class Inside>
struct Around : belay_test::MinimalBytesTransport {
    using MinimalBytesTransport::MinimalBytesTransport;
};
#if defined(BELAY_CONTROL)
using Inside = belay::Bundle<belay_test::MinimalBytesTransport>;
#else
using Inside = belay::Bundle<belay_test::MinimalBytesTransport, belay_test::MinimalBytesTransport>;
#endif

std::size_t use() {
    return sizeof(
        belay::Session<Around<Inside>, belay::MaxAttempts, belay_test::MinimalSessionQueue>);
}
}  // namespace session_over_a_bundle

// expect-error: Receiver: the transport must not contain a Bundle
namespace receiver_over_a_bundle {
#if defined(BELAY_CONTROL)
using Transport = belay_test::MinimalBytesTransport;
#else
using Transport =
    belay::Bundle<belay_test::MinimalBytesTransport, belay_test::MinimalBytesTransport>;
#endif

std::size_t use() { return sizeof(belay::Receiver<Transport, belay_test::MinimalLedger>); }
}  // namespace receiver_over_a_bundle

// expect-error: Receiver: the framing of the transport must carry any bytes
namespace receiver_over_own_text {
struct Transport : belay_test::MinimalBytesTransport {
    using MinimalBytesTransport::MinimalBytesTransport;
#if !defined(BELAY_CONTROL)
    static constexpr bool carries_any_bytes = false;
#endif
};

std::size_t use() { return sizeof(belay::Receiver<Transport, belay_test::MinimalLedger>); }
}  // namespace receiver_over_own_text

// expect-error: Outbox: the queue must be a Queue over a Journal, or over a storage in memory
namespace outbox_over_other_durable_storage {
struct Storage : belay::Deque<belay::Bytes> {
    using Deque::Deque;
#if !defined(BELAY_CONTROL)
    std::error_code commit() noexcept { return {}; }
#endif
};

std::size_t use() {
    return sizeof(belay::Outbox<belay_test::MinimalBytesTransport, belay::MaxAttempts,
                                belay::Queue<Storage>>);
}
}  // namespace outbox_over_other_durable_storage

// expect-error: Outbox: the queue must hold what the transport carries
namespace outbox_of_other_messages {
#if defined(BELAY_CONTROL)
using Message = belay::Bytes;
#else
using Message = int;
#endif

std::size_t use() {
    return sizeof(belay::Outbox<belay_test::MinimalBytesTransport, belay::MaxAttempts,
                                belay::Queue<belay::Deque<Message>>>);
}
}  // namespace outbox_of_other_messages

// expect-error: Outbox: the observer's on_sent must be 'on_sent
namespace outbox_observer_hook {
struct App {
#if defined(BELAY_CONTROL)
    void on_sent(std::uint64_t, const belay::Bytes&) {}
#else
    void on_sent(const belay::Bytes&) {}
#endif
};

void use() {
    belay::Outbox outbox{belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
                         belay::Queue{belay::Deque<belay::Bytes>{}},
                         belay::OutboxOptions{.promise = belay::OutboxOptions::at_most_once},
                         App{}};
}
}  // namespace outbox_observer_hook

// expect-error: Outbox: pass OutboxOptions after the queue
namespace outbox_without_a_promise {
struct App : belay::NoObserver {};

void use() {
    belay::Outbox<belay_test::MinimalBytesTransport, belay::MaxAttempts,
                  belay::Queue<belay::Deque<belay::Bytes>>, App>
        outbox {
        belay_test::MinimalBytesTransport{0}, belay::MaxAttempts{3},
            belay::Queue{belay::Deque<belay::Bytes>{}},
#if defined(BELAY_CONTROL)
            belay::OutboxOptions{.promise = belay::OutboxOptions::at_most_once},
#endif
            App {
        }
    };
}
}  // namespace outbox_without_a_promise

// expect-error: LedgerLike: L is a Result; test it, and pass its value
namespace receiver_of_a_result {
#if defined(BELAY_CONTROL)
using Ledger = belay_test::MinimalLedger;
#else
using Ledger = belay::Result<belay_test::MinimalLedger>;
#endif

std::size_t use() { return sizeof(belay::Receiver<belay_test::MinimalBytesTransport, Ledger>); }
}  // namespace receiver_of_a_result

// expect-error: Receiver: name the transport and the ledger
namespace receiver_without_its_transport {
void use() {
#if defined(BELAY_CONTROL)
    belay::Receiver<belay_test::MinimalBytesTransport, belay_test::MinimalLedger> receiver{
        belay_test::MinimalLedger{0}};
#else
    belay::Receiver receiver{belay_test::MinimalLedger{0}};
#endif
}
}  // namespace receiver_without_its_transport

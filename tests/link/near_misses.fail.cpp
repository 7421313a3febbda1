// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/backoff/backoff.hpp>
#include <belay/core/result.hpp>
#include <belay/core/tee.hpp>
#include <belay/link/awaitable.hpp>
#include <belay/link/bounds.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/countdown.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/link_log.hpp>
#include <belay/link/requests.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/transport_check.hpp>
#include <belay/link/validated.hpp>
#include <belay/link/with_token.hpp>
#include <belay/policy/rules.hpp>

#include "support/link/link_archetypes.hpp"

// expect-error: Bundle: all transports must have one message_type
namespace bundle_of_two_messages {
template <class M>
struct Transport {
    using message_type = M;
    struct Connection {
        belay::SendResult send(const M&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<M>) { return {}; }
};

#if defined(BELAY_CONTROL)
using Second = Transport<int>;
#else
using Second = Transport<long>;
#endif

void use() { belay::Bundle both{Transport<int>{}, Second{}}; }
}  // namespace bundle_of_two_messages

// expect-error: Validated: the check must be copyable, and needs .Verdict begin
namespace check_without_judge {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

struct Check {
    belay::Verdict begin(const auto&) { return belay::Verdict::pending(); }
#if defined(BELAY_CONTROL)
    belay::Verdict judge(int, const auto&) { return belay::Verdict::passed(); }
#endif
};

auto use(belay::Validated<Transport, Check>& v, const belay::Link<int>& link) {
    return sizeof(decltype(v.open(link)));
}
}  // namespace check_without_judge

// expect-error: ConnectionLike: resume_reading must be 'void resume_reading.. noexcept'
namespace connection_that_may_not_resume {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#if defined(BELAY_CONTROL)
        void resume_reading() noexcept {}
#else
        void resume_reading() {}
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{1}}; }
}  // namespace connection_that_may_not_resume

// expect-error: check::transport: make must be callable and return a pointer
namespace check_of_a_rig_that_never_hangs_up {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};
struct Rig {
    Transport transport;
    void run_once() {}
#if defined(BELAY_CONTROL)
    void hang_up() {}
#endif
};

void use() {
    static_cast<void>(belay::check::transport([] { return std::make_unique<Rig>(); },
                                              [](std::uint64_t i) { return static_cast<int>(i); }));
}
}  // namespace check_of_a_rig_that_never_hangs_up

// expect-error: ConnectionLike: the connection needs .SendResult send.const message_type&. noexcept
namespace connection_without_send {
struct Transport {
    using message_type = int;
    struct Connection {
#if defined(BELAY_CONTROL)
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#else
        belay::SendResult sent(const int&) noexcept { return belay::SendResult::sent; }
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() {
    belay::Supervisor link{Transport{}, belay::MaxAttempts{3}};
    link.start();
}
}  // namespace connection_without_send

// expect-error: Heartbeat: the connection needs .void ping.. noexcept.
namespace heartbeat_without_ping {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#if defined(BELAY_CONTROL)
        void ping() noexcept {}
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() { belay::Heartbeat beats{Transport{}, {}}; }
}  // namespace heartbeat_without_ping

// expect-error: Supervisor: the observer's on_writable must be 'on_writable
namespace hook_overloaded {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

// An overloaded hook has no address by which it could be found.
struct App {
    void on_state(const belay::Transition&) {}
    void on_writable(const char*) {}
#if defined(BELAY_CONTROL)
    void on_writable(belay::Lane) {}
#else
    void on_writable(belay::Lane, int) {}
#endif
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}}; }
}  // namespace hook_overloaded

// expect-error: Supervisor: the observer's on_state must be 'on_state
namespace hook_private {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

class App {
public:
    void on_message(int) {}
#if !defined(BELAY_CONTROL)
private:
#endif
    void on_state(const belay::Transition&) {}
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}}; }
}  // namespace hook_private

// expect-error: Supervisor: the observer's on_unsent must be 'on_unsent
namespace hook_template {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

// The same holds for a template.
struct App {
    void on_state(const belay::Transition&) {}
#if defined(BELAY_CONTROL)
    void on_unsent(auto&, int, belay::Lane) {}
#else
    void on_unsent(auto&, int) {}
#endif
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}}; }
}  // namespace hook_template

// expect-error: Supervisor: the observer's on_message must be 'on_message
namespace hook_with_wrong_parameters {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

struct App {
    void on_state(const belay::Transition&) {}
#if defined(BELAY_CONTROL)
    void on_message(int, belay::Lane) {}
#else
    void on_message(int, belay::Lane, int) {}
#endif
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}}; }
}  // namespace hook_with_wrong_parameters

// expect-error: Supervisor: the observer has no hook
namespace observer_without_hooks {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

struct App {
#if defined(BELAY_CONTROL)
    void on_state(const belay::Transition&) {}
#else
    void on_sate(const belay::Transition&) {}
#endif
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}}; }
}  // namespace observer_without_hooks

// expect-error: WithToken: the source of tokens needs a .token_type.
namespace source_without_token_type {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>, const int&) { return {}; }
};

struct Source {
#if defined(BELAY_CONTROL)
    using token_type = int;
#endif
    void operator()(auto done) { done(1); }
};

void use() { belay::WithToken asks{Transport{}, Source{}}; }
}  // namespace source_without_token_type

// expect-error: Supervisor: the observer has no hook
namespace tee_of_deaf_observer {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

struct Log {
    void on_state(const belay::Transition&) {}
};
#if defined(BELAY_CONTROL)
struct App : belay::NoObserver {
#else
struct App {
#endif
    void on_mesage(int) {}
};

void use() {
    belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, belay::Tee{Log{}, App{}}};
}
}  // namespace tee_of_deaf_observer

// expect-error: Supervisor: the observer's on_state must be 'on_state
namespace tee_of_wrong_hook {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

// The hook of this observer is right, and would hide the wrong one.
struct Log {
    void on_state(const belay::Transition&) {}
};
struct App {
    void on_message(int) {}
#if !defined(BELAY_CONTROL)
    void on_state(belay::Transition&) {}
#endif
};

void use() {
    belay::Supervisor link{Transport{},
                           belay::MaxAttempts{3},
                           {},
                           belay::Tee{belay::NoObserver{}, belay::Tee{Log{}, App{}}}};
}
}  // namespace tee_of_wrong_hook

// expect-error: Supervisor::probe_now: the transport must send pings; put a Heartbeat around it
namespace probe_without_heartbeat {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
        void ping() noexcept {}
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() {
#if defined(BELAY_CONTROL)
    belay::Supervisor link{belay::Heartbeat{Transport{}, {}}, belay::MaxAttempts{3}};
#else
    belay::Supervisor link{Transport{}, belay::MaxAttempts{3}};
#endif
    link.probe_now();
}
}  // namespace probe_without_heartbeat

// expect-error: TransportLike: T needs .open.belay::Link.message_type.
namespace transport_without_open {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
#if defined(BELAY_CONTROL)
    Connection open(belay::Link<int>) { return {}; }
#endif
};

void use() {
    belay::Supervisor link{Transport{}, belay::MaxAttempts{3}};
    link.start();
    link.stop();
}
}  // namespace transport_without_open

// expect-error: Endpoints: the transport inside has an endpoint of its own; write posix::Tcp.loop. without
namespace endpoints_transport {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
#if defined(BELAY_CONTROL)
    Connection open(belay::Link<int>, const int&) { return {}; }
#else
    Connection open(belay::Link<int>) { return {}; }
#endif
};

auto use(belay::Endpoints<Transport, int>& endpoints, const belay::Link<int>& link) {
    return sizeof(decltype(endpoints.open(link)));
}
}  // namespace endpoints_transport

// expect-error: Endpoints: the transport needs 'open.Link<message_type>, const Endpoint&.'
namespace endpoints_of_another_type {
struct Text {};
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
#if defined(BELAY_CONTROL)
    Connection open(belay::Link<int>, const int&) { return {}; }
#else
    Connection open(belay::Link<int>, const Text&) { return {}; }
#endif
};

auto use(belay::Endpoints<Transport, int>& endpoints, const belay::Link<int>& link) {
    return sizeof(decltype(endpoints.open(link)));
}
}  // namespace endpoints_of_another_type

// expect-error: TransportLike: T has no endpoint of its own; write posix::Tcp.loop, endpoint., or put it
namespace heartbeat_inside_of_endpoints {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
        void ping() noexcept {}
    };
    Connection open(belay::Link<int>, const int&) { return {}; }
};
void use(Transport transport, belay::HeartbeatOptions options) {
#if defined(BELAY_CONTROL)
    belay::Heartbeat link{belay::Endpoints{transport, {1, 2}}, options};
#else
    belay::Endpoints link{belay::Heartbeat{transport, options}, {1, 2}};
#endif
}
}  // namespace heartbeat_inside_of_endpoints

// expect-error: longest_wait: the rule needs 'Duration longest_wait
namespace unbounded_rule {
struct UnboundedWait {
    belay::Advice admit(belay::Instant) const noexcept { return belay::Advice::go(); }
#if defined(BELAY_CONTROL)
    constexpr belay::Duration longest_wait(std::uint64_t) const noexcept {
        return belay::Duration::zero();
    }
#endif
};

bool use() {
    return belay::timeline::reconnects_within(belay::Policy{UnboundedWait{}}, 3,
                                              std::chrono::seconds{120});
}
}  // namespace unbounded_rule

// expect-error: Supervisor::send: the message must be of the transport's message_type; convert a
namespace view_as_message {
struct Transport {
    using message_type = belay::Bytes;
    struct Connection {
        belay::SendResult send(const belay::Bytes&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<belay::Bytes>) { return {}; }
};
auto use(belay::Supervisor<Transport, belay::MaxAttempts>& link) {
#if defined(BELAY_CONTROL)
    return link.send({std::byte{1}, std::byte{2}});
#else
    return link.send(belay::as_bytes("text"));
#endif
}
}  // namespace view_as_message

// expect-error: co_await connected.link., receive.link.: the link's observer must be a
namespace awaited_without_observer {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};
#if defined(BELAY_CONTROL)
using Observer = belay::LinkAwaits<int>;
#else
using Observer = belay::NoObserver;
#endif
bool use(belay::Supervisor<Transport, belay::MaxAttempts, Observer>& link) {
    return belay::receive(link).await_ready();
}
}  // namespace awaited_without_observer

// expect-error: ConnectionLike: close must be 'void close
namespace connection_closed_without_a_reason {
// The connection would never begin a graceful close.
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#if defined(BELAY_CONTROL)
        void close(const belay::Failure&) noexcept {}
#else
        void close() noexcept {}
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{1}}; }
}  // namespace connection_closed_without_a_reason

// expect-error: ConnectionLike: ping must be 'void ping
namespace connection_pinged_with_a_number {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#if defined(BELAY_CONTROL)
        void ping() noexcept {}
#else
        void ping(int) noexcept {}
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{1}}; }
}  // namespace connection_pinged_with_a_number

// expect-error: ConnectionLike: resume_reading must be 'void resume_reading
namespace connection_resumed_with_room {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#if defined(BELAY_CONTROL)
        void resume_reading() noexcept {}
#else
        void resume_reading(std::size_t) noexcept {}
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{1}}; }
}  // namespace connection_resumed_with_room

// expect-error: ConnectionLike: limit_messages must be 'void limit_messages
namespace connection_limits_by_pointer {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#if defined(BELAY_CONTROL)
        void limit_messages(std::size_t) noexcept {}
#else
        void limit_messages(std::size_t*) noexcept {}
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{1}}; }
}  // namespace connection_limits_by_pointer

// expect-error: ConnectionLike: limit_output must be 'void limit_output
namespace connection_limits_nothing {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#if defined(BELAY_CONTROL)
        void limit_output(std::size_t) noexcept {}
#else
        void limit_output() noexcept {}
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{1}}; }
}  // namespace connection_limits_nothing

// expect-error: ConnectionLike: sift must be 'bool sift
namespace connection_sifts_in_silence {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#if defined(BELAY_CONTROL)
        bool sift(belay::part::Event<int>&, belay::Turn&) { return true; }
#else
        void sift(belay::part::Event<int>&, belay::Turn&) {}
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{1}}; }
}  // namespace connection_sifts_in_silence

// expect-error: ConnectionLike: advance.belay::Turn&. needs
namespace connection_deadline_that_throws {
// The timer of the connection would never run.
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#if defined(BELAY_CONTROL)
        belay::Instant deadline() const noexcept { return belay::never; }
#else
        belay::Instant deadline() const { return belay::never; }
#endif
        void advance(belay::Turn&) {}
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{1}}; }
}  // namespace connection_deadline_that_throws

// expect-error: Countdown: show must be callable with a belay::Duration
namespace countdown_in_text {
#if defined(BELAY_CONTROL)
constexpr auto show = [](belay::Duration) {};
#else
constexpr auto show = [](const char*) {};
#endif

belay::Countdown countdown{belay::Duration{1}, show};
}  // namespace countdown_in_text

// expect-error: observer: a hook must return void, because a result would be ignored and a coroutine
namespace hook_that_is_a_coroutine {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

// The coroutine would be created and destroyed, and would never run.
struct Coroutine {};
struct App {
#if defined(BELAY_CONTROL)
    void on_message(int) {}
#else
    Coroutine on_message(int) { return {}; }
#endif
};

void use() {
    belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}};
    link.advance(belay::always);
}
}  // namespace hook_that_is_a_coroutine

// expect-error: LinkLog: the sink must be callable with a std::string_view
namespace log_into_a_string {
#if defined(BELAY_CONTROL)
constexpr auto sink = [](std::string_view) {};
#else
constexpr auto sink = [](const std::string&) {};
#endif

belay::LinkLog log{sink};
}  // namespace log_into_a_string

// expect-error: ignoring return value
namespace posted_message_that_is_lost {
// The result `full` means that the message was not accepted.
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wunused-result"
void use(const belay::LinkHandle<int>& link) {
#if defined(BELAY_CONTROL)
    static_cast<void>(link.post(1));
#else
    link.post(1);
#endif
}
#pragma GCC diagnostic pop
}  // namespace posted_message_that_is_lost

// expect-error: ignoring return value
namespace question_that_is_lost {
// The question would be lost, and the check would wait until the attempt's limit.
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wunused-result"
struct Connection {
    belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
};
void use(const belay::part::CheckSender<Connection, int>& say) {
#if defined(BELAY_CONTROL)
    static_cast<void>(say(1));
#else
    say(1);
#endif
}
#pragma GCC diagnostic pop
}  // namespace question_that_is_lost

// expect-error: ignoring return value
namespace received_message_that_is_lost {
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wunused-result"
void use(const belay::Link<int>& link) {
#if defined(BELAY_CONTROL)
    static_cast<void>(link.received(1));
#else
    link.received(1);
#endif
}
#pragma GCC diagnostic pop
}  // namespace received_message_that_is_lost

// expect-error: WithToken: the source of tokens needs 'void operator
namespace source_that_is_a_coroutine {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>, const int&) { return {}; }
};

struct Coroutine {};
struct Source {
    using token_type = int;
#if defined(BELAY_CONTROL)
    void operator()(belay::Completion<int> done) { done(1); }
#else
    Coroutine operator()(belay::Completion<int>) { return {}; }
#endif
};

void use() { belay::WithToken asks{Transport{}, Source{}}; }
}  // namespace source_that_is_a_coroutine

// expect-error: Requests: a codec with put_id needs 'std::optional
namespace requests_codec_without_id_of {
struct Codec {
    void put_id(belay_test::MinimalMessage&, std::uint64_t) {}
#if defined(BELAY_CONTROL)
    std::optional<std::uint64_t> id_of(const belay_test::MinimalMessage&) { return {}; }
#else
    std::uint64_t id_of(const belay_test::MinimalMessage&) { return 0; }
#endif
};

using Machine = belay::Requests<belay_test::MinimalTransport<>, belay::MaxAttempts, Codec>;
std::size_t use() { return sizeof(Machine); }
}  // namespace requests_codec_without_id_of

// expect-error: Requests: the codec must have put_id and id_of, or be part::InOrder
namespace requests_codec_of_nothing {
#if defined(BELAY_CONTROL)
using Codec = belay::part::InOrder;
#else
struct Codec {};
#endif

using Machine = belay::Requests<belay_test::MinimalTransport<>, belay::MaxAttempts, Codec>;
std::size_t use() { return sizeof(Machine); }
}  // namespace requests_codec_of_nothing

// expect-error: Requests: the codec's is_answer must be 'bool is_answer
namespace requests_codec_with_wrong_is_answer {
struct Codec : belay::part::InOrder {
#if defined(BELAY_CONTROL)
    bool is_answer(const belay_test::MinimalMessage&) { return true; }
#else
    int is_answer(const belay_test::MinimalMessage&) { return 1; }
#endif
};

using Machine = belay::Requests<belay_test::MinimalTransport<>, belay::MaxAttempts, Codec>;
std::size_t use() { return sizeof(Machine); }
}  // namespace requests_codec_with_wrong_is_answer

// expect-error: Requests: the observer's on_unmatched must be 'on_unmatched
namespace requests_observer_hook {
struct App {
    void on_state(const belay::Transition&) {}
#if defined(BELAY_CONTROL)
    void on_unmatched(belay_test::MinimalMessage) {}
#else
    void on_unmatched(int) {}
#endif
};

void use() {
    belay::Requests requests{belay_test::MinimalTransport{0}, belay::MaxAttempts{1},
                             belay::part::InOrder{}, App{}};
}
}  // namespace requests_observer_hook

// expect-error: Requests::ask: done must be callable with
namespace requests_done_of_another_message {
using Machine =
    belay::Requests<belay_test::MinimalTransport<>, belay::MaxAttempts, belay::part::InOrder>;

#if defined(BELAY_CONTROL)
using Answer = Machine::Answer;
#else
using Answer = belay::Result<int, belay::Failure>;
#endif

void use(Machine& machine) {
    static_cast<void>(
        machine.ask(belay_test::MinimalMessage{0}, std::chrono::seconds{1}, [](const Answer&) {}));
}
}  // namespace requests_done_of_another_message

// expect-error: TransportLike: T is a Result; test it, and pass its value
namespace supervisor_of_a_result {
#if defined(BELAY_CONTROL)
using Transport = belay_test::MinimalTransport<>;
#else
using Transport = belay::Result<belay_test::MinimalTransport<>>;
#endif

std::size_t use() { return sizeof(belay::Supervisor<Transport, belay::MaxAttempts>); }
}  // namespace supervisor_of_a_result

// expect-error: Supervisor: pass the transport first, then the policy
namespace supervisor_with_the_policy_first {
#if defined(BELAY_CONTROL)
using Link = belay::Supervisor<belay_test::MinimalTransport<>, belay::MaxAttempts>;
#else
using Link = belay::Supervisor<belay::MaxAttempts, belay_test::MinimalTransport<>>;
#endif

std::size_t use() { return sizeof(Link); }
}  // namespace supervisor_with_the_policy_first

// expect-error: observer: a hook must return void, because a result would be ignored and a coroutine
namespace hook_with_a_result {
struct App {
#if defined(BELAY_CONTROL)
    void on_message(auto&, const belay_test::MinimalMessage&) {}
#else
    bool on_message(auto&, const belay_test::MinimalMessage&) { return true; }
#endif
};

// There is no driver.
void use() {
    belay::Supervisor link{belay_test::MinimalTransport<>{0}, belay::MaxAttempts{3}, {}, App{}};
}
}  // namespace hook_with_a_result

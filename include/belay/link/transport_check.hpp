// SPDX-License-Identifier: MIT
/// \file belay/link/transport_check.hpp
/// check::transport: tests a transport. It is for tests only, and link.hpp does not include it.
/// check::TransportRule: the rules that it checks.
#pragma once

#include <cstdint>      // std::uint8_t
#include <memory>       // std::pointer_traits
#include <optional>     // std::optional
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::declval

#include <belay/core/assert.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/detail/rule_check.hpp>
#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace check {

/// The rules for a transport that the compiler cannot check; see TransportLike and ConnectionLike.
enum class TransportRule : std::uint8_t {
    opens,
    opens_once,
    opened_comes_first,
    sends_nothing_before_it_is_open,
    carries_each_once_in_order,
    output_is_bounded,
    space_follows_busy,
    space_is_reported_once,
    space_is_usable,
    keeps_what_was_rejected,
    ping_is_answered,
    limit_holds,
    end_is_reported,
    end_is_final,
    sends_nothing_after_its_end,
    opens_again,
    close_ends,
    destructor_reports_nothing
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(TransportRule rule) noexcept {
    constexpr const char* sentences[] = {
        "the transport calls Link::opened when it has connected to the peer",
        "the transport calls Link::opened once",
        "the transport reports no message, pong or writable before Link::opened",
        "send() accepts no message before Link::opened",
        "each message arrives whole, once, and in the order of sending",
        "send() returns busy if the peer does not keep up",
        "the transport calls Link::writable after busy, when it can accept a message",
        "the transport calls Link::writable once for each busy, and not without one",
        "send() accepts a message after Link::writable that it rejected as busy before",
        ("the connection keeps a message if Link::received returns full, and delivers it "
         "again after resume_reading()"),
        "ping() leads to Link::pong while the peer lives",
        "a message longer than limit_messages() ends the connection, and is not delivered",
        "the transport calls Link::closed when the peer ends the connection",
        "the transport calls Link::closed once, and reports nothing after it",
        "send() accepts no message after Link::closed",
        "open() makes a new connection after the end of the old one",
        "close() leads to Link::closed if the peer answers",
        "the connection reports nothing during or after its destructor"};
    return detail::sentence_of(rule, sentences);
}

}  // namespace check

namespace detail {

/// Exercises a connection against all rules. `broken()` is the first rule that it broke.
template <class Make, class Message>
class TransportChecker : public RuleCheck<check::TransportRule> {
    using Pointer = std::remove_cvref_t<decltype(std::declval<Make&>()())>;
    using Rig = typename std::pointer_traits<Pointer>::element_type;
    using Transport = std::remove_cvref_t<decltype(std::declval<Rig&>().transport)>;
    static_assert(explain::transport_like<Transport>());
    using M = typename Transport::message_type;
    using Connection = part::ConnectionOf<Transport>;
    using Box = LinkBox<M>;

public:
    TransportChecker(Make& make, Message& message) noexcept : make_{make}, message_{message} {}

    [[nodiscard]] std::optional<Rule> run() {
        using Check = void (TransportChecker::*)();
        constexpr Check checks[] = {
            &TransportChecker::echo,           &TransportChecker::output,
            &TransportChecker::input,          &TransportChecker::ping,
            &TransportChecker::limit,          &TransportChecker::end_of_peer,
            &TransportChecker::graceful_close, &TransportChecker::destruction};
        for (const Check check : checks) {
            rig_ = make_();
            (this->*check)();
            connection_.reset();
            box_ = {};
            rig_ = Pointer{};
            if (broken_) break;
        }
        return broken_;
    }

private:
    /// The maximum number of calls of run_once() without an event, until a required event happens.
    static constexpr int rounds_max = 10'000;
    /// The number of calls of run_once() in which a forbidden event could happen.
    static constexpr int rounds_of_rest = 20;
    static constexpr std::size_t plenty = 1'000'000;

    // ---- scenes --------------------------------------------------------------------------------

    void echo() {
        begin(plenty);
        // No event was reported yet, so the supervisor cannot know that the connection is open.
        if (box_->empty()) {
            expect(say() != SendResult::sent, Rule::sends_nothing_before_it_is_open);
        }
        until([&] { return opened_; }, Rule::opens);
        for (int i = 0; i < 20 && right(); ++i) send_when_space();
        until_all_arrived();
        rest();
    }
    /// The peer does not keep up, because it gets no turns.
    void output() {
        open(plenty);
        SendResult answer = SendResult::sent;
        for (std::size_t i = 0; i < plenty && right() && answer == SendResult::sent; ++i) {
            answer = say();
        }
        expect(answer == SendResult::busy, Rule::output_is_bounded);
        until([&] { return !awaits_space_; }, Rule::space_follows_busy);
        if (right()) expect(say() == SendResult::sent, Rule::space_is_usable);
        until_all_arrived();
        rest();
    }
    /// This end does not keep up: it takes one message in a turn and has space for two.
    void input() {
        open(2);
        events_per_step_ = 1;
        arrival_ = Rule::keeps_what_was_rejected;
        for (int i = 0; i < 50 && right(); ++i) send_when_space();
        until_all_arrived();
        events_per_step_ = plenty;
        rest();
    }
    void ping() {
        if constexpr (HasPing<Connection>) {
            open(plenty);
            const int before = pongs_;
            if (right()) connection_.get()->ping();
            until([&] { return pongs_ > before; }, Rule::ping_is_answered);
        }
    }
    void limit() {
        if constexpr (HasLimitMessages<Connection> && requires(const M& m) { m.size() > 1U; }) {
            open(plenty);
            if (!right() || message_(0).size() < 2) return;
            connection_.get()->limit_messages(1);
            send_when_space();
            until([&] { return closed_ || received_ != 0; }, Rule::limit_holds);
            expect(received_ == 0, Rule::limit_holds);
        }
    }
    void end_of_peer() {
        open(plenty);
        send_when_space();
        until_all_arrived();
        if (!right()) return;
        rig_->hang_up();
        until([&] { return closed_; }, Rule::end_is_reported);
        expect(say() != SendResult::sent, Rule::sends_nothing_after_its_end);
        rest();
        if (!right()) return;
        connection_.reset();
        begin(plenty);
        until([&] { return opened_ || closed_; }, Rule::opens_again);
        // An accepted connection, which can be opened only once, must fail as permanent.
        expect(opened_ || failure_.cause == Cause::permanent, Rule::opens_again);
    }
    void graceful_close() {
        if constexpr (HasClose<Connection>) {
            open(plenty);
            for (int i = 0; i < 5 && right(); ++i) send_when_space();
            closing_ = true;
            if (right()) connection_.get()->close(Failure{.cause = Cause::planned});
            until([&] { return closed_; }, Rule::close_ends);
            rest();
        }
    }
    void destruction() {
        open(plenty);
        if (!right()) return;
        while (say() == SendResult::sent && sent_ < 1000) {
        }
        expect(destroyed_in_silence(), Rule::destructor_reports_nothing);
        // The same during a dial.
        begin(plenty);
        expect(destroyed_in_silence(), Rule::destructor_reports_nothing);
    }

    // ---- the role of a supervisor --------------------------------------------------------------

    void begin(std::size_t messages_max) {
        box_ = Ref<Box>::make(messages_max);
        box_->begin_turn();
        box_->epoch = ++epoch_;
        opened_ = closed_ = awaits_space_ = closing_ = false;
        sent_ = received_ = 0;
        pongs_ = 0;
        events_per_step_ = plenty;
        arrival_ = Rule::carries_each_once_in_order;
        connection_.emplace_from([this] { return rig_->transport.open(Link<M>{box_, epoch_}); });
    }
    void open(std::size_t messages_max) {
        begin(messages_max);
        until([&] { return opened_; }, Rule::opens);
    }
    [[nodiscard]] SendResult say() {
        const SendResult answer = part::send<M>(*connection_.get(), Lane{0}, message_(sent_));
        if (answer == SendResult::sent) ++sent_;
        if (answer == SendResult::busy) awaits_space_ = true;
        return answer;
    }
    void send_when_space() {
        if (!right()) return;
        const SendResult answer = say();
        if (answer == SendResult::sent) return;
        expect(answer == SendResult::busy, Rule::carries_each_once_in_order);
        until([&] { return !awaits_space_; }, Rule::space_follows_busy);
        if (right()) expect(say() == SendResult::sent, Rule::space_is_usable);
    }
    [[nodiscard]] bool destroyed_in_silence() {
        const std::size_t before = box_->size();
        connection_.reset();
        if (box_->size() != before) return false;
        // A handler that was not cancelled may run in a later turn and report an end that no longer
        // matters. A thread may have been delivering a message at that moment.
        box_->discard_unless([](const part::Event<M>&) { return false; });
        bool silent = true;
        for (int i = 0; i < rounds_of_rest; ++i) rig_->run_once();
        box_->discard_unless([&silent](const part::Event<M>& event) {
            silent = silent && event.kind != part::EventKind::closed;
            return false;
        });
        return silent;
    }

    void step() {
        rig_->run_once();
        box_->begin_turn();
        Turn turn{SteadyClock{}.now(), bits_};
        for (std::size_t left = events_per_step_; left != 0 && box_->size() != 0; --left) {
            part::Event<M> event = box_->pop();
            quiet_rounds_ = 0;
            if (part::sift<M>(*connection_.get(), event, turn)) handle(event);
        }
        part::advance(*connection_.get(), turn);
        if (box_->take_rejection()) part::resume_reading(*connection_.get());
    }
    void handle(const part::Event<M>& event) {
        expect(!closed_, Rule::end_is_final);
        switch (event.kind) {
            case part::EventKind::opened:
                expect(!opened_, Rule::opens_once);
                opened_ = true;
                return;
            case part::EventKind::closed:
                closed_ = true;
                failure_ = event.failure;
                return;
            case part::EventKind::received:
                // A closing connection may drop messages that arrive.
                expect(closing_ || *event.message == message_(received_), arrival_);
                expect(received_++ < sent_, arrival_);
                break;
            case part::EventKind::pong:
                ++pongs_;
                break;
            case part::EventKind::written:
                break;
            case part::EventKind::writable:
                expect(awaits_space_, Rule::space_is_reported_once);
                awaits_space_ = false;
                break;
            default:
                return;
        }
        expect(opened_, Rule::opened_comes_first);
    }
    /// Runs turns in which only signs of life may happen.
    void rest() {
        for (int i = 0; i < rounds_of_rest && right(); ++i) step();
    }
    void until_all_arrived() {
        until([&] { return received_ == sent_; }, arrival_);
    }
    template <class Done>
    void until(Done done, Rule rule) {
        for (quiet_rounds_ = 0; quiet_rounds_ < rounds_max && !done() && right(); ++quiet_rounds_) {
            step();
            // A connection that is over will not do it.
            if (closed_ && !done()) break;
        }
        expect(done(), rule);
    }

    Make& make_;
    Message& message_;
    Pointer rig_{};
    Ref<Box> box_;
    part::Slot<Connection> connection_;
    Random bits_{Seed{1}};
    std::uint32_t epoch_ = 0;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
    int pongs_ = 0;
    int quiet_rounds_ = 0;
    std::size_t events_per_step_ = plenty;
    /// The rule that a wrong message breaks.
    Rule arrival_{};
    bool opened_ = false;
    bool closed_ = false;
    bool awaits_space_ = false;
    bool closing_ = false;
    Failure failure_{};
};

}  // namespace detail

namespace check {

/// Tests a transport and returns the first rule that it breaks, or nothing if it keeps all.
///
/// The check acts as the supervisor of the transport, whose peer sends every message back.
///
///     struct Rig {
///         EchoServer peer;                       // yours: sends every message back
///         Mine transport{peer.port()};
///         void run_once() { poll(transport, peer); }
///         void hang_up() { peer.close_all(); }   // and takes the next connection
///     };
///     const auto broken = check::transport([] { return std::make_unique<Rig>(); },
///                                         [](std::uint64_t i) { return text_of(i); });
///     if (broken) std::puts(to_string(*broken));
///
/// - `make()` returns a pointer to a new object with `transport`, `run_once()` and `hang_up()`.
/// - `run_once()` runs everything that is due on this thread. If nothing is due, it waits for about
///   a millisecond, not longer.
/// - `hang_up()` makes the peer end the connection and wait for another one.
/// - `message(i)` returns the message number `i`: always the same one, different for each `i`, and
///   at least a hundred bytes long. Messages are compared by `==`.
///
/// Optional members of the connection are checked if it has them. The peer must tolerate
/// connections that are aborted.
/// Errors: the rule.   Throws: what the transport, `make` and `message` throw.
/// Blocks: in `run_once()`, for about a second if everything is right, longer for a transport that
/// stalls.
template <class Make, class Message>
[[nodiscard]] std::optional<TransportRule> transport(Make make, Message message) {
    if constexpr (requires {
                      make()->transport;
                      make()->run_once();
                      make()->hang_up();
                  }) {
        return detail::TransportChecker<Make, Message>{make, message}.run();
    } else {
        static_assert(
            !sizeof(Make),
            "check::transport: make must be callable and return a pointer to an object with "
            "'transport', 'run_once()' and 'hang_up()': [] { return std::make_unique<Rig>(); }");
        return std::nullopt;
    }
}

}  // namespace check

}}  // namespace belay

// SPDX-License-Identifier: MIT
/// \file belay/link/detail/transport_checker.hpp
/// TransportChecker: acts as the supervisor of a transport; see transport_check.hpp.
#pragma once

#include <memory>       // std::pointer_traits
#include <optional>     // std::optional
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::move

#include <belay/core/clocks.hpp>
#include <belay/link/part.hpp>
#include <belay/link/transport_rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Exercises a connection against all rules. `broken()` is the first rule that it broke.
template <class Make, class Message>
class TransportChecker {
    using Pointer = std::remove_cvref_t<decltype(std::declval<Make&>()())>;
    using Rig = typename std::pointer_traits<Pointer>::element_type;
    using Transport = std::remove_cvref_t<decltype(std::declval<Rig&>().transport)>;
    static_assert(explain::transport_like<Transport>());
    using M = typename Transport::message_type;
    using Connection = part::ConnectionOf<Transport>;
    using Box = LinkBox<M>;
    using Rule = check::TransportRule;

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
    void expect(bool kept, Rule rule) noexcept {
        if (!kept && !broken_) broken_ = rule;
    }
    [[nodiscard]] bool right() const noexcept { return !broken_; }

    Make& make_;
    Message& message_;
    Pointer rig_{};
    Ref<Box> box_;
    part::Slot<Connection> connection_;
    Random bits_{Seed{1}};
    std::optional<Rule> broken_;
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

}}}  // namespace belay::detail

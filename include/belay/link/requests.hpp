// SPDX-License-Identifier: MIT
/// \file belay/link/requests.hpp
/// Requests: questions and answers over a supervised connection.
#pragma once

#include <concepts>      // std::same_as
#include <optional>      // std::optional
#include <string_view>   // std::string_view
#include <system_error>  // std::errc, std::make_error_code
#include <type_traits>   // std::is_invocable_v, std::remove_cvref_t
#include <utility>       // std::forward, std::move

#include <belay/core/order.hpp>
#include <belay/link/detail/drain_limit.hpp>
#include <belay/link/detail/question_await.hpp>
#include <belay/link/detail/question_codec.hpp>
#include <belay/link/detail/question_table.hpp>
#include <belay/link/requests_observer.hpp>
#include <belay/link/requests_options.hpp>
#include <belay/link/supervisor.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Asks questions over a supervised connection, and gives each answer to its question.
///
/// Each accepted question is completed exactly once, with its answer or with a failure. It fails
/// when its deadline passes, when the connection ends, or when it is cancelled. The codec
/// determines how answers find their questions: part::InOrder{}, or a codec of yours that writes
/// and reads an id. Requests owns the supervisor of its connection.
///
///     Requests redis{transport, policy, part::InOrder{}, RequestsOptions{}};
///     auto asked = redis.ask(message, 2s, [](Result<Bytes, Failure> answer) { ... });
///     Result<Bytes, Failure> answer = co_await redis.ask(message, 2s);
///
/// `done` runs in a turn of the driver, never inside ask(). It may call every function, and may
/// destroy the Requests. An exception leaves that turn, and the question counts as completed. The
/// destructor calls no `done`, and resumes no coroutine.
///
/// Models:        MachineLike.
/// Thread safety: home thread, as its supervisor; handle() for other threads.
/// Allocates:     while the number of open questions grows, and for a `done` above 48 bytes.
/// Source:        docs/how-to/requests.md.
template <class Transport, class Policy, class Codec, class Observer = NoObserver>
class Requests {
    // Not constraints: the compiler's message for a failed constraint would hide these sentences.
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());
    static_assert(detail::explain_question_codec<Codec, typename Transport::message_type>());

public:
    using message_type = typename Transport::message_type;
    using Answer = Result<message_type, Failure>;
    using Handle = detail::LinkCommands<message_type>;
    using OnLoss = RequestsOptions::OnLoss;

    /// Opens nothing: attach it to a driver, then call start().
    ///
    /// Pre: options.check() is empty.
    Requests(Transport transport, Policy policy, Codec codec, RequestsOptions options = {},
             Observer observer = {})
        : options_{detail::checked(options)},
          codec_{std::move(codec)},
          observer_{std::move(observer)},
          link_{std::move(transport), std::move(policy), options_.link, Tap{this}} {
        static_assert(detail::explain_observer<Hooks, Observer>());
    }
    /// With the usual options.
    template <detail::ObserverArgument<Observer> O>
        requires(!std::convertible_to<O, RequestsOptions>)
    Requests(Transport transport, Policy policy, Codec codec, O&& observer)
        : Requests{std::move(transport), std::move(policy), std::move(codec), RequestsOptions{},
                   std::forward<O>(observer)} {}
    Requests(const Requests&) = delete;
    Requests& operator=(const Requests&) = delete;

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) {
        link_.attach(waker.nested(0));
        waker_ = std::move(waker);
    }

    [[nodiscard]] Instant deadline() const noexcept {
        if (table_.ended() != 0 || !deferred_.empty() || can_send_next() || is_drained()) {
            return always;
        }
        const Instant due =
            detail::smaller(table_.deadline(), detail::smaller(given_up_until_, unsent_until_));
        return detail::smaller(detail::smaller(link_.deadline(), drain_.ends()), due);
    }

    /// Runs one turn: the connection's events with their answers, then deadlines and failures, then
    /// questions to send.
    void advance(Instant now) {
        const driver::TurnGuard guard{lifetime_};
        now_ = detail::larger(now_, now);
        drain_.on_turn(now_);
        is_down_ = false;
        // Left over after a `done` or a hook threw. They precede the changes of this turn.
        if (!notify_deferred(guard)) return;
        link_.advance(now_);
        if (guard.gone()) return;
        // The command that waited for this turn was no start().
        if (link_.status().state == LinkState::stopped) drain_.end();
        expire();
        if (!finish_ended(guard)) return;
        while (can_send_next()) send_next();
        const bool over = is_drained() || now_ >= drain_.ends();
        if (!over) return;
        drain_.end();
        stop();  // last: the observer may destroy this object
    }

    // ---- questions -----------------------------------------------------------------------------

    /// Asks a question, and calls `done(Result<message_type, Failure>)` once, in a later turn.
    ///
    /// The question is sent at once if the connection is open, and else when it is, within its
    /// deadline. `within` counts from this call. The result has a number for cancel().
    /// Errors: not_connected before start(), and after the link has stopped, failed or is blocked;
    ///         LinkErrc::requests_full; LinkErrc::message_rejected; std::errc::timed_out if
    ///         `within` is 0ns or less; operation_canceled during drain(). `done` is then not
    ///         called.
    /// Throws: std::bad_alloc, and what the codec throws; the question is then not accepted.
    template <class V, class Done>
        requires(!std::same_as<std::remove_cvref_t<Done>, OnLoss>)
    [[nodiscard]] Result<std::uint64_t> ask(V&& message, Duration within, Done&& done) {
        return ask(std::forward<V>(message), within, std::forward<Done>(done), options_.on_loss);
    }
    template <class V, class Done>
    [[nodiscard]] Result<std::uint64_t> ask(V&& message, Duration within, Done&& done,
                                            OnLoss on_loss) {
        static_assert(std::is_invocable_v<std::remove_cvref_t<Done>&, Answer>,
                      "Requests::ask: done must be callable with "
                      "'belay::Result<message_type, belay::Failure>'");
        const Instant now = lifetime_.in_turn() ? now_ : detail::larger(now_, waker_.now());
        if (const std::error_code error = why_rejected(now, within)) return error;
        const bool sends_again = on_loss == RequestsOptions::send_again;
        return accept(detail::to_message<message_type>(std::forward<V>(message)),
                      after(now, within), std::forward<Done>(done), sends_again);
    }
    /// Asks a question in a coroutine of any kind: `co_await requests.ask(message, 2s)`.
    ///
    /// The result is as for `done`; if the question was rejected, it is that failure, at once. A
    /// coroutine that is destroyed while it waits cancels its question. It is resumed inside a
    /// turn, where it may call everything.
    template <class V>
    [[nodiscard]] detail::QuestionAwait<Requests> ask(V&& message, Duration within) {
        return ask(std::forward<V>(message), within, options_.on_loss);
    }
    template <class V>
    [[nodiscard]] detail::QuestionAwait<Requests> ask(V&& message, Duration within,
                                                      OnLoss on_loss) {
        return {*this, detail::to_message<message_type>(std::forward<V>(message)), within, on_loss};
    }

    /// Cancels a question: its `done` is called in the next turn, with
    /// std::errc::operation_canceled. The server may execute the question all the same. Until its
    /// next message, it keeps its time for the answer; see RequestsOptions::timeouts_max.
    /// Returns: false if the question is completed already.
    bool cancel(std::uint64_t question) noexcept {
        Item* const item = table_.find(question);
        if (item == nullptr) return false;
        // The server has its time all the same: else callers that give up early hide a frozen one.
        if (item->list == List::sent) {
            given_up_until_ = detail::smaller(given_up_until_, item->deadline);
        } else if (is_held_up(*item)) {
            unsent_until_ = detail::smaller(unsent_until_, item->deadline);
        }
        end(*item, failure_of(std::errc::operation_canceled));
        ++counts_.cancelled;
        waker_.touch();
        return true;
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Connects, and reconnects after each outage.
    void start() { link_.start(); }
    /// Disconnects; see Supervisor::stop. Open questions fail with std::errc::operation_canceled.
    void stop() { link_.stop(); }
    /// Accepts no more questions, and stops when all are completed, or after `within`.
    ///
    /// If drain() is called several times, the earliest end counts. A time below 0ns counts as 0ns.
    void drain(Duration within) {
        // A start() that waits for the next turn is drained, too.
        const bool waits = link_.deadline() == always;
        if (link_.status().state == LinkState::stopped && !waits) return;
        drain_.begin(detail::larger(now_, waker_.now()), within);
        waker_.touch();
    }
    /// Shuts a gate; see Supervisor::shut.
    void shut(Gate gate, Duration grace = {}) { link_.shut(gate, grace); }
    /// Opens a gate; see Supervisor::open.
    void open(Gate gate) { link_.open(gate); }
    /// Hands new credentials to the transport; see Supervisor::credentials.
    template <class... A>
    void credentials(A&&... values) {
        link_.credentials(std::forward<A>(values)...);
    }
    /// Connects now; see Supervisor::reconnect_now.
    Reconnect reconnect_now(bool force = false) { return link_.reconnect_now(force); }
    /// Ends the connection on outside evidence.
    void report_unhealthy(Failure failure = {}) noexcept { link_.report_unhealthy(failure); }
    /// Sends a message that has no answer; see Supervisor::send. With answers in order, the server
    /// must not answer it.
    [[nodiscard]] SendResult send(const message_type& message, Lane lane = 0) noexcept {
        return link_.send(message, lane);
    }

    // ---- observers -----------------------------------------------------------------------------

    /// Returns the state of the connection and the counters, as one consistent value.
    [[nodiscard]] RequestsStatus status() const {
        RequestsStatus status = counts_;
        status.link = link_.status();
        status.waiting = table_.waiting();
        status.in_flight = table_.sent();
        return status;
    }
    /// Returns the commands that other threads may give. Ask on the home thread only.
    [[nodiscard]] Handle handle() const { return link_.handle(); }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }
    [[nodiscard]] Codec& codec() noexcept { return codec_; }
    [[nodiscard]] Instant now() const noexcept { return now_; }

private:
    using Hooks = detail::RequestsHooks<Requests, message_type>;
    using Table = detail::QuestionTable<message_type>;
    using Item = typename Table::Item;
    using List = typename Item::List;
    static constexpr bool has_ids = detail::HasQuestionIds<Codec, message_type>;

    /// Receives the supervisor's events.
    struct Tap {
        Requests* me;
        void on_state(const Transition& change) { me->on_state(change); }
        void on_message(message_type message, Lane lane) {
            me->on_message(std::move(message), lane);
        }
        void on_writable(Lane lane) {
            if (lane == 0) me->busy_ = false;
        }
    };
    using Link = Supervisor<Transport, Policy, Tap>;

    [[nodiscard]] static Failure failure_of(std::errc error) noexcept {
        return Failure::from(std::make_error_code(error));
    }

    // ---- accepting -----------------------------------------------------------------------------

    [[nodiscard]] std::error_code why_rejected(Instant now, Duration within) const noexcept {
        if (drain_.runs()) return std::make_error_code(std::errc::operation_canceled);
        // A command that waits may be start().
        const bool never_leads_on =
            detail::rests(link_.status().state) && link_.deadline() != always;
        // Without a driver there is no time from which a deadline could count.
        if (never_leads_on || now == always) return std::make_error_code(std::errc::not_connected);
        if (within <= Duration::zero()) return std::make_error_code(std::errc::timed_out);
        const bool has_space = table_.size() < options_.in_flight_max + options_.waiting_max;
        if (!has_space) return LinkErrc::requests_full;
        const bool must_wait = !can_send() || table_.waiting() != 0;
        if (!must_wait || table_.waiting() < options_.waiting_max) return {};
        if (link_.status().state == LinkState::connected) return LinkErrc::requests_full;
        return std::make_error_code(std::errc::not_connected);
    }

    Result<std::uint64_t> accept(message_type message, Instant deadline, typename Item::Done done,
                                 bool sends_again) {
        const std::uint64_t id = table_.next_id();
        if constexpr (has_ids) codec_.put_id(message, id);
        SendResult sent = SendResult::down;
        if (can_send() && table_.waiting() == 0) {
            sent = link_.send(message);
            if (sent == SendResult::rejected) return LinkErrc::message_rejected;
            busy_ = sent == SendResult::busy;
            if (sent != SendResult::sent && options_.waiting_max == 0) {
                if (busy_) return LinkErrc::requests_full;
                return std::make_error_code(std::errc::not_connected);
            }
        }
        Item& item = table_.add(deadline, sends_again, std::move(done));
        last_id_ = id;
        ++counts_.asked;
        item.message.emplace(std::move(message));
        if (sent == SendResult::sent) {
            was_sent(item);
        } else {
            table_.append(item, List::waiting);
        }
        waker_.touch();
        return id;
    }

    // ---- sending -------------------------------------------------------------------------------

    [[nodiscard]] bool can_send() const noexcept {
        return link_.status().state == LinkState::connected && !busy_ && !is_down_ &&
               !is_out_of_order_ && table_.sent() < options_.in_flight_max;
    }
    [[nodiscard]] bool can_send_next() const noexcept {
        return table_.waiting() != 0 && can_send();
    }
    void send_next() noexcept {
        Item& item = *table_.first_waiting();
        switch (link_.send(*item.message)) {
            case SendResult::sent:
                return was_sent(item);
            case SendResult::busy:
                busy_ = true;
                return;
            case SendResult::down:
                is_down_ = true;
                return;
            case SendResult::rejected:
                ++counts_.lost;
                return end(item, belay::failure_of(LinkErrc::message_rejected));
        }
    }
    void was_sent(Item& item) noexcept {
        if (item.sends != 0) ++counts_.sent_again;
        ++item.sends;
        if (!item.sends_again || item.sends == options_.sends_max) item.message.reset();
        table_.append(item, List::sent);
    }

    // ---- completing ----------------------------------------------------------------------------

    void on_message(message_type&& message, Lane lane) {
        if (!is_full_of_failed()) heard();
        if constexpr (has_ids) {
            if (lane == 0) {
                const std::optional<std::uint64_t> id = codec_.id_of(std::as_const(message));
                if (id) return on_answer(table_.find(*id), std::move(message));
            }
        } else if (lane == 0) {
            // If it throws, this message may have been an answer.
            OrderGuard guard{*this};
            const bool is_answer = detail::is_answer(codec_, std::as_const(message));
            guard.keeps_order = true;
            if (is_answer) {
                return on_answer(is_out_of_order_ ? nullptr : table_.first_sent(),
                                 std::move(message));
            }
        }
        detail::notify<typename Hooks::Message>(observer_, *this, Lane{lane}, std::move(message));
    }
    /// Without an order, the next answer might be given to a wrong question.
    struct OrderGuard {
        Requests& me;
        bool keeps_order = false;
        ~OrderGuard() {
            if (!keeps_order) me.lose_order();
        }
    };
    void lose_order() noexcept {
        is_out_of_order_ = true;
        link_.report_unhealthy(failure_of(std::errc::protocol_error));
    }
    void on_answer(Item* item, message_type&& message) {
        heard();
        // A question that still waits was not sent on this connection.
        if (item == nullptr || !item->is_open || item->list != List::sent) {
            ++counts_.unmatched;
            if (!has_ids && item == nullptr) {
                if (!is_out_of_order_) lose_order();
            } else if (item != nullptr && item->list == List::sent) {
                // With answers in order: the question has failed, and this was its place.
                table_.drop_place(*item);
            }
            return detail::notify<typename Hooks::Unmatched>(observer_, *this, std::move(message));
        }
        ++counts_.answered;
        // Freed before the call, which may throw, ask again, or destroy this object.
        typename Item::Done done = table_.complete(*item);
        done(Answer{std::move(message)});
    }

    /// A question fails. With answers in order, it keeps its place among those that were sent.
    void end(Item& item, const Failure& failure) noexcept {
        table_.end(item, failure);
        if (has_ids || item.list != List::sent) table_.drop_place(item);
    }

    /// The server is alive.
    void heard() noexcept {
        timeouts_ = 0;
        given_up_until_ = unsent_until_ = never;
    }
    /// Whether every question that counts towards `in_flight_max` has failed. With answers in
    /// order, nothing can be sent then until a late answer comes.
    [[nodiscard]] bool is_full_of_failed() const noexcept {
        return table_.sent() >= options_.in_flight_max && table_.open() == table_.waiting();
    }
    /// Whether a question that waits is not sent because the server is silent: no question that was
    /// sent has time left. One that was asked before the silence began waited for other reasons,
    /// too: a queue whose deadlines pass together must not end a server that is only slow.
    [[nodiscard]] bool is_held_up(const Item& item) const noexcept {
        return timeouts_ != 0 && item.id > silent_from_ && table_.open() == table_.waiting() &&
               given_up_until_ == never && !can_send();
    }
    /// Returns whether the connection is to be given up: not once only, because a decorator may
    /// hold its end back.
    bool count_timeout() noexcept {
        if (timeouts_ == 0) silent_from_ = last_id_;
        ++timeouts_;
        return options_.timeouts_max != 0 && timeouts_ % options_.timeouts_max == 0;
    }
    void expire() noexcept {
        bool gives_up = false;
        for (Instant* const until : {&given_up_until_, &unsent_until_}) {
            if (now_ < *until) continue;
            *until = never;
            if (count_timeout()) gives_up = true;
        }
        while (table_.deadline() <= now_) {
            Item& item = *table_.first_due();
            const bool is_timeout = item.list == List::sent || is_held_up(item);
            ++counts_.timed_out;
            // A question to send again may have reached the server before.
            const bool was_ever_sent = item.sends != 0;
            end(item, belay::failure_of(was_ever_sent ? LinkErrc::unanswered : LinkErrc::unsent));
            if (is_timeout && count_timeout()) gives_up = true;
        }
        if (gives_up) link_.report_unhealthy(belay::failure_of(LinkErrc::unanswered));
    }

    /// Returns: false if this object was destroyed.
    bool finish_ended(const driver::TurnGuard& guard) {
        // Not those that fail meanwhile: a `done` that asks and cancels must not hold up the turn.
        for (std::size_t left = table_.ended(); left != 0 && table_.ended() != 0; --left) {
            auto ended = table_.take_ended();
            {
                const Notifying notifying{guard, notifying_};
                ended.done(Answer::failure(ended.failure));
            }
            if (guard.gone() || !notify_deferred(guard)) return false;
        }
        return true;
    }
    /// Runs a `done` or a hook. If that calls stop(), on_state waits until it has returned.
    struct Notifying {
        Notifying(const driver::TurnGuard& g, bool& f) noexcept : guard{g}, flag{f} { flag = true; }
        Notifying(const Notifying&) = delete;
        Notifying& operator=(const Notifying&) = delete;
        ~Notifying() {
            if (!guard.gone()) flag = false;
        }
        const driver::TurnGuard& guard;
        bool& flag;
    };
    bool notify_deferred(const driver::TurnGuard& guard) {
        while (!deferred_.empty()) {
            const Notifying notifying{guard, notifying_};
            const Transition change = deferred_.pop();
            detail::notify<typename Hooks::State>(observer_, *this, change);
            if (guard.gone()) return false;
        }
        return true;
    }

    void on_state(const Transition& change) {
        const LinkState to = change.to.state;
        busy_ = false;
        is_down_ = false;
        is_out_of_order_ = false;
        heard();
        if (to == LinkState::stopped) {
            drain_.end();
            const Failure stopped = failure_of(std::errc::operation_canceled);
            counts_.cancelled += table_.lose_sent(stopped);
            counts_.cancelled += table_.lose_waiting(stopped);
        } else if (to != LinkState::connected) {
            Failure lost = change.to.failure;
            lost.cause = Cause::lost;
            counts_.lost += table_.lose_sent(lost);
            if (detail::rests(to)) counts_.lost += table_.lose_waiting(change.to.failure);
        }
        if (notifying_) {
            deferred_.push(Transition{change});
        } else {
            detail::notify<typename Hooks::State>(observer_, *this, change);
        }
    }

    [[nodiscard]] bool is_drained() const noexcept {
        return drain_.runs() && table_.open() == 0 && table_.ended() == 0;
    }

    const RequestsOptions options_;
    [[no_unique_address]] Codec codec_;
    [[no_unique_address]] Observer observer_;
    Table table_;
    RequestsStatus counts_{};  // only the counters
    driver::LifetimeFlag lifetime_;
    Waker waker_;
    bool busy_ = false;
    bool is_down_ = false;  // send() has returned `down` since the last turn began
    bool notifying_ = false;
    bool is_out_of_order_ = false;            // the connection is about to end
    unsigned timeouts_ = 0;                   // questions in a row without any message
    std::uint64_t last_id_ = 0;               // of the newest question
    std::uint64_t silent_from_ = 0;           // the newest question when the first of them ended
    Instant given_up_until_ = never;          // the deadline of one that was cancelled since,
    Instant unsent_until_ = never;            // and of one that the silence kept from being sent
    detail::EventRing<Transition> deferred_;  // of the connection, while a `done` runs
    Instant now_ = always;
    detail::DrainLimit drain_;
    Link link_;
};

template <class Transport, class Policy, class Codec>
Requests(Transport, Policy, Codec) -> Requests<Transport, Policy, Codec>;
template <class Transport, class Policy, class Codec>
Requests(Transport, Policy, Codec, RequestsOptions) -> Requests<Transport, Policy, Codec>;
template <class Transport, class Policy, class Codec, class Observer>
    requires(!std::convertible_to<Observer, RequestsOptions>)
Requests(Transport, Policy, Codec, Observer) -> Requests<Transport, Policy, Codec, Observer>;
template <class Transport, class Policy, class Codec, class Observer>
Requests(Transport, Policy, Codec, RequestsOptions, Observer)
    -> Requests<Transport, Policy, Codec, Observer>;

}}  // namespace belay

// SPDX-License-Identifier: MIT
/// \file belay/session/outbox.hpp
/// Outbox: a queue in front of any server, which sends its messages while the connection is open.
/// OutboxOptions, OutboxStatus: its options and its state.
#pragma once

#include <algorithm>     // std::all_of
#include <concepts>      // std::same_as
#include <cstddef>       // std::ptrdiff_t, std::size_t
#include <cstdint>       // std::uint64_t
#include <deque>         // std::deque
#include <optional>      // std::optional
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::conditional_t, std::remove_cvref_t
#include <utility>       // std::exchange, std::forward, std::move

#include <belay/core/bytes.hpp>
#include <belay/core/detail/expect_options.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/link/detail/link_user.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/supervisor_core.hpp>
#include <belay/link/validated.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session/session_format.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of an Outbox.
struct OutboxOptions {
    /// The promise for each message, which decides when the outbox removes the message.
    enum Promise : std::uint8_t {
        not_chosen,    ///< not allowed: choose one of the others
        at_most_once,  ///< a message is removed before it is sent, and is never sent again
        at_least_once  ///< a message is removed when it is acknowledged; until then it is sent
                       ///< again on each new connection
    };

    /// Required.
    Promise promise = not_chosen;
    /// The maximum number of messages that are sent and not acknowledged. With at_most_once over a
    /// journal, the maximum number of messages that one flush removes. > 0.
    std::size_t in_flight_max = 256;
    /// The maximum size of a message; push() rejects a longer one. Set it to the limit of the
    /// framing. It applies to messages that have `size()`. > 0.
    std::size_t message_bytes_max = no_limit;
    /// How often the first message is delivered before it is undeliverable: the status has its
    /// number, and on_undeliverable is called once. With at_least_once. > 0.
    ///
    /// A delivery counts if the message was the only one in flight when the peer closed the
    /// connection. After two connections that the peer closed while the same message was the first
    /// in flight, it is sent alone. It then waits until the connection has been open for a while,
    /// so that a proxy that accepts and closes connections during an outage counts no delivery.
    std::uint32_t deliveries_max = 10;
    /// Those of the Supervisor.
    SupervisorOptions link{};

    /// Returns the rule that these options break, as a sentence; an empty text if they break none.
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (promise != at_most_once && promise != at_least_once) {
            return "OutboxOptions: promise must be at_most_once or at_least_once";
        }
        if (in_flight_max == 0) return "OutboxOptions: in_flight_max must be > 0";
        if (message_bytes_max == 0) return "OutboxOptions: message_bytes_max must be > 0";
        if (deliveries_max == 0) return "OutboxOptions: deliveries_max must be > 0";
        return {};
    }
};

/// The state of an outbox, as one consistent value.
struct OutboxStatus {
    /// That of the Supervisor.
    LinkStatus link{};
    std::uint64_t waiting = 0;       ///< messages that wait to be sent on this connection
    std::uint64_t in_flight = 0;     ///< messages that were sent on it, and not acknowledged
    std::uint64_t sent = 0;          ///< how often a message was handed to a connection
    std::uint64_t sent_again = 0;    ///< how often one of these had been sent before
    std::uint64_t acknowledged = 0;  ///< messages that the application acknowledged
    std::uint64_t unsent = 0;        ///< messages that the transport rejected: see on_unsent
    /// The number of the first message, if it is undeliverable: see OutboxOptions::deliveries_max.
    /// Otherwise 0. The messages after it wait until you acknowledge it.
    std::uint64_t undeliverable = 0;
    std::error_code error{};  ///< the storage's failure: until it ends, nothing is accepted
};

namespace detail {
/// Returns the options; options that no outbox can satisfy end the program at construction.
[[nodiscard]] inline const OutboxOptions& checked(const OutboxOptions& options) {
    expect_options(options.check(),
                   {{"promise", std::uint64_t{options.promise}},
                    {"in_flight_max", std::uint64_t{options.in_flight_max}},
                    {"message_bytes_max", std::uint64_t{options.message_bytes_max}},
                    {"deliveries_max", std::uint64_t{options.deliveries_max}}});
    return options;
}

BELAY_DETAIL_HOOK(OnSent, on_sent);
BELAY_DETAIL_HOOK(OnUndeliverable, on_undeliverable);

/// The hooks of an Outbox S of messages M.
template <class S, class M>
struct OutboxHooks {
    using State = Hook<OnState, S, const Transition&>;
    using Message = MessageHook<S, M>;
    using Sent = Hook<OnSent, S, std::uint64_t, const M&>;
    using Unsent = Hook<OnUnsent, S, std::uint64_t, M>;
    using Undeliverable = Hook<OnUndeliverable, S, std::uint64_t, const M&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Outbox: the observer's on_state must be 'on_state(const "
                      "belay::Transition&)', or have 'auto& outbox' in front of that");
        static_assert(Message::template right<O>,
                      "Outbox: the observer's on_message must be 'on_message(message_type)', or "
                      "have 'auto& outbox' in front of that, a 'belay::Lane' after it, or both");
        static_assert(Sent::template right<O>,
                      "Outbox: the observer's on_sent must be 'on_sent(std::uint64_t number, const "
                      "message_type&)', or have 'auto& outbox' in front of that");
        static_assert(Unsent::template right<O>,
                      "Outbox: the observer's on_unsent must be 'on_unsent(std::uint64_t number, "
                      "message_type)', or have 'auto& outbox' in front of that");
        static_assert(Undeliverable::template right<O>,
                      "Outbox: the observer's on_undeliverable must be "
                      "'on_undeliverable(std::uint64_t number, const message_type&)', or have "
                      "'auto& outbox' in front of that");
        static_assert(has_any_hook_of<O, State, Message, Sent, Unsent, Undeliverable>,
                      "Outbox: the observer has no hook: it needs one of on_state, on_message, "
                      "on_sent, on_unsent, on_undeliverable. Derive an observer without hooks from "
                      "belay::NoObserver");
        return true;
    }
};

/// The messages that an Outbox has taken from its queue and is not done with, in order.
///
/// Over a log, at_least_once reads messages, and releases them when they are acknowledged. With
/// at_most_once, and over memory, the window owns its messages.
template <class Queue>
class OutboxWindow {
public:
    using M = typename Queue::value_type;
    using Storage = typename Queue::storage_type;
    static constexpr bool is_log = LogLike<Storage>;

    struct Item {
        std::uint64_t number = 0;
        std::optional<M> message{};
        bool rejected = false;  // by the transport: only its number is left
    };

    /// A message that a hook reads, taken out of the window, because the hook may acknowledge it.
    class HookMessage {
    public:
        HookMessage(OutboxWindow& window, std::uint64_t number,
                    const driver::TurnGuard& guard) noexcept
            : window_{window}, number_{number}, guard_{guard} {
            if (Item* const item = window_.find(number_)) message_ = std::move(item->message);
        }
        HookMessage(const HookMessage&) = delete;
        HookMessage& operator=(const HookMessage&) = delete;
        ~HookMessage() {
            if (guard_.gone()) return;
            Item* const item = window_.find(number_);
            if (item != nullptr && !item->rejected) item->message = std::move(message_);
        }
        [[nodiscard]] const M& message() const noexcept { return *message_; }

    private:
        OutboxWindow& window_;
        const std::uint64_t number_;
        const driver::TurnGuard& guard_;
        std::optional<M> message_{};
    };

    OutboxWindow(Queue& queue, const OutboxOptions& options)
        : queue_{queue},
          keeps_{options.promise == OutboxOptions::at_least_once},
          deliveries_max_{options.deliveries_max},
          // Over memory, messages stay in the queue, and so within its limit, until they are sent.
          items_max_{keeps_ || is_log ? options.in_flight_max : 1} {}

    /// Whether a flush must follow fill() before anything is sent.
    [[nodiscard]] bool removes_before_sending() const noexcept { return is_log && !keeps_; }
    /// Returns the last number that a flush must have made durable before anything is sent.
    [[nodiscard]] std::uint64_t removed() const noexcept { return removed_; }

    /// Whether fill() would take a message.
    [[nodiscard]] bool can_fill() const noexcept {
        if (items_.size() >= items_max_ || is_alone()) return false;
        if constexpr (is_log) {
            return keeps_ ? unread() <= log().durable() : log().base() <= log().last();
        } else {
            return !queue_.empty();
        }
    }

    /// Takes messages, as many as may be in flight.
    ///
    /// Errors: those of reading and acknowledging, if there is nothing to send.
    /// Throws: std::bad_alloc; no message is lost.
    std::error_code fill() {
        while (can_fill()) {
            if constexpr (is_log) {
                // The messages before the one that cannot be read are sent first.
                if (const std::error_code error = read_one()) {
                    return next() != nullptr ? std::error_code{} : error;
                }
            } else {
                items_.emplace_back();
                items_.back().message = queue_.pop();
                if (!items_.back().message) return items_.pop_back(), std::error_code{};
                items_.back().number = ++taken_;
            }
        }
        return {};
    }

    /// Returns the next message to send; null if there is none.
    [[nodiscard]] const Item* next() const noexcept {
        const bool waits = next_ != 0 && is_alone();
        return next_ < items_.size() && !waits ? &items_[next_] : nullptr;
    }
    /// Whether the first message is sent alone, because connections ended while it was in flight.
    [[nodiscard]] bool is_alone() const noexcept {
        return suspect_.losses >= losses_before_alone && is_suspect();
    }

    /// The next message was handed to the connection.   Returns: the message, if it is done with.
    std::optional<M> sent() noexcept {
        const std::uint64_t number = items_[next_].number;
        ++counters_.sent;
        if (number <= last_sent_) ++counters_.sent_again;
        last_sent_ = larger(last_sent_, number);
        if (keeps_) return advance(), std::nullopt;
        std::optional<M> message = std::move(items_.front().message);
        items_.pop_front();
        return message;
    }
    /// The transport rejected the next message. release_rejected() must follow.
    [[nodiscard]] M reject() {
        Item& item = items_[next_];
        M message = std::move(*item.message);
        item.message.reset();
        ++counters_.unsent;
        if (!keeps_) return items_.pop_front(), message;
        item.rejected = true;
        last_sent_ = larger(last_sent_, item.number);
        advance();
        return message;
    }

    /// Releases messages that the transport rejected, as soon as they are the first.
    /// Returns: false if the storage did not release one; the next call tries again.
    bool release_rejected() noexcept {
        bool released = true;
        while (released && !items_.empty() && items_.front().rejected) {
            released = !release(items_.front().number);
        }
        skip_rejected();
        return released;
    }
    /// A connection has ended: the next one begins with the first message that is not acknowledged.
    /// release_rejected() must follow.
    /// Returns: whether that message has become undeliverable, because the peer has closed it.
    bool restart(bool closed_by_peer) noexcept {
        const std::size_t sent = std::exchange(next_, 0);
        if (!closed_by_peer || !keeps_ || sent == 0) return false;
        if (!is_suspect()) suspect_ = {items_.front().number};
        ++suspect_.losses;
        const auto end = items_.begin() + static_cast<std::ptrdiff_t>(sent);
        const bool is_only =
            std::all_of(items_.begin() + 1, end, [](const Item& item) { return item.rejected; });
        return is_only && ++suspect_.deliveries == deliveries_max_;
    }

    /// Releases everything up to a number.
    ///
    /// release_rejected() must follow.
    /// Errors: not_sent; those of the storage, and then nothing was released.
    std::error_code acknowledge(std::uint64_t up_to) noexcept {
        if (!keeps_ || up_to > last_sent_) return SessionErrc::not_sent;
        const std::uint64_t before = done();
        if (const std::error_code error = release(up_to)) return error;
        counters_.acknowledged += done() - before;
        return {};
    }
    /// Releases the first message that was sent on this connection.
    std::error_code acknowledge_first() noexcept {
        if (next_ == 0) return SessionErrc::not_sent;
        return acknowledge(items_.front().number);
    }

    /// Prepares a push into a full queue, whose policy may drop the oldest value.
    void before_push() noexcept {
        if constexpr (is_log && Queue::drops) {
            if (!keeps_) return;
            queue_.hold_oldest(next_ != 0);
            if (next_ == 0 && queue_.full()) items_.clear();
        }
    }

    /// Returns how many values left the storage without a pop since the last call.
    [[nodiscard]] std::size_t take_released() noexcept { return std::exchange(released_, 0); }

    /// Returns the counters. `link` and `error` are the outbox's.
    [[nodiscard]] OutboxStatus counters() const noexcept {
        OutboxStatus status = counters_;
        // Accepted, and not done with.
        const std::uint64_t depth =
            is_log && keeps_ ? queue_.size() : queue_.size() + items_.size();
        status.waiting = depth - next_;
        status.in_flight = next_;
        const bool is_undeliverable = suspect_.deliveries >= deliveries_max_ && is_suspect();
        status.undeliverable = is_undeliverable ? suspect_.number : 0;
        return status;
    }

private:
    [[nodiscard]] Storage& log() noexcept { return queue_.storage(); }
    [[nodiscard]] const Storage& log() const noexcept { return queue_.storage(); }
    /// Returns the first number after the window.
    [[nodiscard]] std::uint64_t unread() const noexcept {
        return items_.empty() ? log().base() : items_.back().number + 1;
    }
    /// Returns the number up to which everything is released.
    [[nodiscard]] std::uint64_t done() const noexcept {
        if constexpr (is_log) {
            return log().base() - 1;
        } else {
            return taken_ - items_.size();
        }
    }

    std::error_code read_one() {
        const std::uint64_t number = keeps_ ? unread() : log().base();
        const Result<BytesView> body = log().read(number);
        if (!body) return body.error();
        items_.push_back({number, M(body->begin(), body->end())});
        if (keeps_) return {};
        // Removed first: after a crash, a message that was sent must not be here any more.
        const std::error_code error = log().ack(number);
        if (log().base() <= number) return items_.pop_back(), error;
        removed_ = number;
        ++released_;
        return {};
    }

    std::error_code release(std::uint64_t up_to) noexcept {
        if constexpr (is_log) {
            if (up_to < log().base()) return {};
            const std::uint64_t before = log().base();
            // An error of deleting a file, or of the flush, comes after the release.
            const std::error_code error = log().ack(up_to);
            if (log().base() <= up_to) return error;
            released_ += static_cast<std::size_t>(log().base() - before);
        }
        while (!items_.empty() && items_.front().number <= up_to) {
            items_.pop_front();
            if (next_ != 0) --next_;
        }
        return {};
    }
    void advance() noexcept {
        ++next_;
        skip_rejected();
    }
    void skip_rejected() noexcept {
        while (next_ < items_.size() && items_[next_].rejected) ++next_;
    }
    /// Whether the first message is the one whose losses were counted.
    [[nodiscard]] bool is_suspect() const noexcept {
        return !items_.empty() && items_.front().number == suspect_.number;
    }
    [[nodiscard]] Item* find(std::uint64_t number) noexcept {
        if (items_.empty() || number < items_.front().number || number > items_.back().number) {
            return nullptr;
        }
        return &items_[static_cast<std::size_t>(number - items_.front().number)];
    }

    /// The first message when the peer closed the last connection on which one was in flight.
    struct Suspect {
        std::uint64_t number = 0;
        std::uint32_t losses = 0;      // connections that ended so
        std::uint32_t deliveries = 0;  // of those, the ones on which it was the only one
    };
    static constexpr std::uint32_t losses_before_alone = 2;

    Queue& queue_;
    const bool keeps_;
    const std::uint32_t deliveries_max_;
    const std::size_t items_max_;
    std::deque<Item> items_{};
    std::size_t next_ = 0;      // the messages before it were sent on this connection
    std::size_t released_ = 0;  // not reported to the queue's observer yet
    std::uint64_t taken_ = 0;   // numbers that were given, over memory
    std::uint64_t removed_ = 0;
    std::uint64_t last_sent_ = 0;
    Suspect suspect_{};
    OutboxStatus counters_{};
};

/// A queue over a log, or over memory. Messages that an outbox takes out of another durable storage
/// would be lost in a crash.
template <class Q>
concept OutboxQueue =
    requires(Q& queue) { queue.storage(); } &&
    (LogLike<typename Q::storage_type> ||
     !(HasStorageCommit<typename Q::storage_type> || HasFlush<typename Q::storage_type>));
}  // namespace detail

/// A queue in front of any server: accepts messages while the connection is down, and sends them in
/// order when it is open.
///
/// With `at_most_once`, each message is sent at most once: a cut may lose the messages that the
/// connection had taken. With `at_least_once`, each message is sent again on the next connection
/// until you acknowledge it. Over a journal, an accepted message is sent after it is durable, and
/// survives a crash from then on. The outbox owns the queue and the supervisor of its connection.
///
/// The queue's overflow policy decides about a push into a full queue. It never drops a message
/// that was sent on this connection and is not acknowledged: the push returns queue_full.
///
/// The observer may have these hooks, each of which may leave out the outbox:
/// - `on_state(auto& outbox, const Transition&)`: after every transition of the link.
/// - `on_message(auto& outbox, message_type [, Lane])`: a message of the server.
/// - `on_sent(auto& outbox, std::uint64_t number, const message_type&)`: a message was handed to
///   the connection. With at_least_once it has the same number each time that it is sent.
/// - `on_unsent(auto& outbox, std::uint64_t number, message_type)`: the transport can never carry
///   the message, so the outbox does not send it again on this connection. It is too long for the
///   framing, for example.
/// - `on_undeliverable(auto& outbox, std::uint64_t number, const message_type&)`: the peer has
///   closed OutboxOptions::deliveries_max connections on which this message was alone. Nothing is
///   dropped. To drop it, store it elsewhere, and acknowledge the number.
///
/// Hooks may call every function of the outbox, and may destroy it. An exception from a hook leaves
/// the `advance` that ran it.
///
/// Models:        MachineLike.
/// Thread safety: home thread, as its supervisor; handle() for other threads.
/// Source:        docs/reference/outbox.md.
template <class Transport, class Policy, class Queue, class Observer = NoObserver>
class Outbox : private detail::LinkUser<Outbox<Transport, Policy, Queue, Observer>,
                                        typename Transport::message_type, Observer> {
    using Base = detail::LinkUser<Outbox, typename Transport::message_type, Observer>;
    friend Base;
    using Base::busy_, Base::deferred_, Base::drain_, Base::lifetime_, Base::now_, Base::observer_,
        Base::waker_;

    // Not constraints: the compiler's message for a failed constraint would hide these sentences.
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());
    static_assert(detail::OutboxQueue<Queue>,
                  "Outbox: the queue must be a Queue over a Journal, or over a storage in memory");
    static_assert(std::same_as<typename Queue::value_type, typename Transport::message_type>,
                  "Outbox: the queue must hold what the transport carries, its message_type");

    using Window = detail::OutboxWindow<Queue>;
    static constexpr bool is_log = Window::is_log;

public:
    using message_type = typename Transport::message_type;
    /// Commands from other threads.
    using Handle = detail::LinkCommands<message_type>;

    /// Opens nothing: attach the outbox to a driver, then call start().
    ///
    /// Pre: options.check() is empty: a promise is chosen, and the limits are > 0.
    Outbox(Transport transport, Policy policy, Queue queue, OutboxOptions options,
           Observer observer = {})
        : Base{std::move(observer)},
          options_{detail::checked(options)},
          queue_{std::move(queue)},
          window_{queue_, options_},
          link_{make_transport(std::move(transport)), std::move(policy), options_.link,
                typename Base::Tap{this}} {
        static_assert(detail::explain_observer<Hooks, Observer>());
        // A queue that was filled before.
        dirty_ = is_log;
    }
    /// Does not compile: an outbox needs a promise.
    template <class... Other>
        requires(sizeof...(Other) <= 1 &&
                 !(std::same_as<std::remove_cvref_t<Other>, OutboxOptions> || ...))
    Outbox(Transport transport, Policy policy, Queue queue, Other&&...)
        : Outbox{std::move(transport), std::move(policy), std::move(queue), OutboxOptions{}} {
        static_assert(sizeof...(Other) > 1,
                      "Outbox: pass OutboxOptions after the queue, because an outbox needs a "
                      "promise: OutboxOptions{.promise = OutboxOptions::at_least_once}");
    }

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) { this->attach_link(std::move(waker)); }

    [[nodiscard]] Instant deadline() const noexcept {
        if (dirty_ || !deferred_.empty() || has_work() || is_drained() || tells_undeliverable_) {
            return always;
        }
        const Instant sends = waits_alone() ? sends_from_ : never;
        return detail::smaller(detail::smaller(link_.deadline(), drain_.ends()),
                               detail::smaller(flush_again_, sends));
    }

    /// Runs one turn: the connection's events, one flush, and then messages to send.
    void advance(Instant now) {
        const driver::TurnGuard guard{lifetime_};
        if (!this->advance_link(now, guard) || !tell_undeliverable(guard)) return;
        dirty_ = dirty_ || flush_again_ <= now_;
        if (!pump(guard)) return;
        notify_queue();
        if (guard.gone()) return;
        // Last: stop() calls on_state, in which the observer may destroy the outbox.
        if (is_drained()) return finish_drain();
        if (now_ < drain_.ends()) return;
        drain_.end();
        stop();
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Accepts a message, connected or not, and puts it into the queue.
    ///
    /// Over a journal it is durable after the flush of the next turn, or after commit().
    /// Errors: those of the queue: queue_full, queue_suspended, too_large, errors of the medium;
    ///         too_large above message_bytes_max; SessionErrc::takes_no_more while a drain() runs;
    ///         after the journal has failed, its error. The message was then not accepted.
    /// Throws: as Queue::push.
    template <class V = message_type>
        requires detail::TakesPush<typename Queue::storage_type, V> &&
                 (!detail::TextForBytes<std::remove_cvref_t<V>, message_type>)
    [[nodiscard]] std::error_code push(V&& message) {
        if (failed_) return failed_;
        if (drain_.runs()) return SessionErrc::takes_no_more;
        if constexpr (requires { message.size() > std::size_t{0}; }) {
            if (message.size() > options_.message_bytes_max) return QueueErrc::too_large;
        }
        window_.before_push();
        const std::error_code error = queue_.push(std::forward<V>(message));
        if constexpr (is_log) {
            // In Flush::each the push flushes: the next turn finds that it has failed.
            dirty_ = dirty_ || !error || queue_.storage().failed();
        }
        waker_.touch();
        return error;
    }
    /// Accepts a text as bytes.
    template <detail::TextForBytes<message_type> T>
    [[nodiscard]] std::error_code push(const T& text) {
        const BytesView bytes = as_bytes(std::string_view{text});
        if constexpr (detail::TakesPush<typename Queue::storage_type, BytesView>) {
            return push(bytes);
        } else {
            return push(to_bytes(bytes));
        }
    }

    /// Removes the messages up to a number, which on_sent has reported. A number that was
    /// acknowledged before has no effect, and neither has the connection on which it was sent.
    ///
    /// Errors: SessionErrc::not_sent for a number that this outbox has not sent, and with
    ///         at_most_once; those of the journal. Nothing was then removed.
    [[nodiscard]] std::error_code acknowledge(std::uint64_t up_to) noexcept {
        return acknowledged(window_.acknowledge(up_to));
    }
    /// Removes the first message that was sent on this connection and is not acknowledged. For a
    /// server that answers each message, in order: call it in on_message, once for each answer.
    ///
    /// Errors: SessionErrc::not_sent if there is no such message; as above.
    [[nodiscard]] std::error_code acknowledge() noexcept {
        return acknowledged(window_.acknowledge_first());
    }

    /// Makes all accepted messages durable, as the journal's mode promises.
    ///
    /// Errors: of the medium. After one the outbox sends nothing until a flush has succeeded. It
    ///         flushes again each second, unless the journal has failed.
    /// Blocks: for one flush of the medium.
    [[nodiscard]] std::error_code commit()
        requires(is_log)
    {
        dirty_ = true;
        waker_.touch();
        return make_durable();
    }

    /// Connects, and reconnects after each outage.
    void start() { link_.start(); }
    /// Disconnects; see Supervisor::stop. Messages that are not sent, or with at_least_once not
    /// acknowledged, stay.
    void stop() { link_.stop(); }
    /// Accepts no more messages, and stops when all are done, or after `within`.
    ///
    /// A message is done when it is acknowledged; with at_most_once, when it has left. Until then
    /// the outbox reconnects as usual. Messages that are left at the end (`depth()`) stay. If
    /// drain() is called several times, the earliest end counts. A time below 0ns counts as 0ns.
    void drain(Duration within) { this->begin_drain(within); }
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
    /// Ends the connection on outside evidence, for example a server that does not acknowledge.
    void report_unhealthy(Failure failure = {}) noexcept {
        ends_here_ = true;
        link_.report_unhealthy(failure);
    }

    // ---- observers -----------------------------------------------------------------------------

    /// Returns the state of the connection and the counters, as one consistent value.
    [[nodiscard]] OutboxStatus status() const {
        OutboxStatus status = window_.counters();
        status.link = link_.status();
        status.error = failed_;
        return status;
    }
    /// Returns how many messages were accepted, and are not done with.
    [[nodiscard]] std::uint64_t depth() const noexcept {
        const OutboxStatus status = window_.counters();
        return status.waiting + status.in_flight;
    }
    /// Returns the commands that other threads may give. Call `push` on the home thread only.
    [[nodiscard]] Handle handle() const { return link_.handle(); }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }
    /// Returns the queue, to look at it. Push through the outbox, and do not pop.
    [[nodiscard]] const Queue& queue() const noexcept { return queue_; }
    [[nodiscard]] Instant now() const noexcept { return now_; }

private:
    using Hooks = detail::OutboxHooks<Outbox, message_type>;
    static constexpr int sends_per_turn_max = 256;
    static constexpr Duration flush_again_after = std::chrono::seconds{1};
    // A connection that a proxy cannot continue usually ends within a second, and at the latest
    // after the proxy's own attempts, which rarely take longer than 30 s.
    static constexpr Duration quiet_min = std::chrono::seconds{1};
    static constexpr Duration quiet_max = std::chrono::seconds{30};

    /// Rejects a connection while the journal cannot be flushed, so that the wait for the next
    /// attempt grows.
    struct Check {
        Outbox* me;
        Verdict begin(const auto&) {
            const std::error_code error = me->try_journal();
            return error ? Verdict::rejected(me->failure(error)) : Verdict::passed();
        }
        // A message that arrives before the transport is open does not replace begin().
        Verdict judge(const message_type&, const auto&) { return Verdict::deferred(); }
    };
    using Guarded =
        typename std::conditional_t<is_log, std::type_identity<Validated<Transport, Check>>,
                                    std::type_identity<Transport>>::type;
    using Link = Supervisor<Guarded, Policy, typename Base::Tap>;

    Guarded make_transport(Transport&& transport) {
        if constexpr (is_log) {
            return Guarded{std::move(transport), Check{this}};
        } else {
            return std::move(transport);
        }
    }

    void on_message(message_type&& message, Lane lane) {
        detail::notify<typename Hooks::Message>(observer_, *this, Lane{lane}, std::move(message));
    }
    void on_state(const Transition& change) {
        if (change.to.state == LinkState::stopped) closing_ = false;
        busy_ = false;
        if (change.to.state != LinkState::connected) {
            const bool closed = change.from == LinkState::connected && is_closed_by_peer(change.to);
            tells_undeliverable_ = window_.restart(closed) || tells_undeliverable_;
            release_rejected();
        } else if (change.from != LinkState::connected) {
            ends_here_ = false;
            sent_at_ = never;
            sends_from_ = window_.is_alone() ? after(now_, quiet_) : now_;
        }
        this->notify_state(change);
    }

    /// Returns whether the peer has ended a connection, after a message was sent on it.
    bool is_closed_by_peer(const LinkStatus& status) noexcept {
        const auto origin = status.failure.origin;
        if (ends_here_ || status.withdrawn || origin == Failure::Origin::local ||
            origin == Failure::Origin::silent || sent_at_ == never) {
            return false;
        }
        // A proxy whose server is down may close each connection after a fixed time. A message that
        // would be sent later than that is not sent, and so not blamed.
        quiet_ = detail::smaller(detail::larger(2 * elapsed(sent_at_, now_), quiet_min), quiet_max);
        return true;
    }
    /// Returns: false if the outbox was destroyed.
    bool tell_undeliverable(const driver::TurnGuard& guard) {
        if (!std::exchange(tells_undeliverable_, false)) return true;
        if constexpr (detail::has_hook_of<typename Hooks::Undeliverable, Observer>) {
            const std::uint64_t number = window_.counters().undeliverable;
            if (number == 0) return true;
            const typename Window::HookMessage held{window_, number, guard};
            return this->template call<typename Hooks::Undeliverable>(guard, number,
                                                                      held.message());
        } else {
            return true;
        }
    }

    std::error_code acknowledged(const std::error_code& error) noexcept {
        if constexpr (is_log) {
            // In Flush::each the acknowledgement flushes: the next turn finds that it has failed.
            dirty_ = dirty_ || queue_.storage().failed();
        }
        release_rejected();
        waker_.touch();
        return error;
    }
    /// Releases rejected messages. If the journal does not release one, the outbox tries again
    /// later, because there may be no push or acknowledgement that would.
    void release_rejected() noexcept {
        if (window_.release_rejected()) return;
        flush_again_ = detail::smaller(flush_again_, after(now_, flush_again_after));
    }

    // ---- the storage ---------------------------------------------------------------------------

    /// Flushes the journal: once for all messages that were accepted since the last flush. After an
    /// error it does so again later, because there may be no attempt to connect that would.
    std::error_code flush() noexcept {
        dirty_ = false;
        flush_failed_ = false;
        flush_again_ = never;
        if constexpr (is_log) {
            auto& log = queue_.storage();
            std::error_code error = log.commit();
            if constexpr (requires { log.acked_durable(); }) {
                // No error of commit(): there was only space for what was appended.
                if (!error && log.acked_durable() < window_.removed()) {
                    error = std::make_error_code(std::errc::no_space_on_device);
                }
            }
            flush_failed_ = static_cast<bool>(error);
            if (error && !log.failed()) flush_again_ = after(now_, flush_again_after);
            return error;
        } else {
            return {};
        }
    }
    /// Flushes the journal, also after it has failed: it may have ended the failure. Damaged data
    /// stays damaged.
    std::error_code try_journal() noexcept {
        if (failed_.category() == detail::queue_category()) return failed_;
        const std::error_code error = flush();
        if (!error) failed_ = {};
        return error;
    }
    std::error_code make_durable() {
        if (!dirty_) return {};
        const std::error_code error = flush();
        if (!error) {
            release_rejected();
            return error;
        }
        const Failure why = failure(error);
        // A dial goes on while the disk is full, because it may take longer than the time between
        // two flushes. Check flushes again when the connection is open.
        const bool dials = link_.status().state == LinkState::connecting;
        if (!dials || why.cause == Cause::permanent) report_unhealthy(why);
        return error;
    }
    /// Returns what the storage's error means for the connection: another attempt, or its end.
    Failure failure(const std::error_code& error) noexcept {
        bool passes = false;
        if constexpr (is_log) {
            const std::error_code failed = queue_.storage().failed();
            passes = detail::may_pass(error, static_cast<bool>(failed));
            if (!passes) failed_ = failed ? failed : error;
        }
        return detail::log_failure(error, passes);
    }

    // ---- sending -------------------------------------------------------------------------------

    [[nodiscard]] bool can_send() const noexcept {
        return link_.status().state == LinkState::connected && !busy_ && !flush_failed_ &&
               !failed_ && !waits_alone();
    }
    /// Whether the first message waits until the connection has been open for a while.
    [[nodiscard]] bool waits_alone() const noexcept {
        return now_ < sends_from_ && window_.is_alone() &&
               link_.status().state == LinkState::connected;
    }
    [[nodiscard]] bool has_work() const noexcept {
        return can_send() && (window_.next() != nullptr || window_.can_fill());
    }

    /// Takes messages from the queue.   Returns: whether they may be sent.
    bool fill() {
        const std::error_code error = window_.fill();
        if (error) report_unhealthy(failure(error));
        return !error;
    }

    /// Flushes, and sends what may be sent.   Returns: false if the outbox was destroyed.
    bool pump(const driver::TurnGuard& guard) {
        if (window_.removes_before_sending() && can_send() && window_.can_fill()) {
            dirty_ = true;
            if (!fill()) return true;
        }
        if (make_durable()) return true;
        for (int i = 0; i < sends_per_turn_max && can_send(); ++i) {
            if (window_.next() == nullptr) {
                if (window_.removes_before_sending() || !fill()) break;
                if (window_.next() == nullptr) break;
            }
            if (!send_next(guard)) return false;
        }
        return true;
    }

    /// Returns: false if the outbox was destroyed.
    bool send_next(const driver::TurnGuard& guard) {
        const auto& item = *window_.next();
        const std::uint64_t number = item.number;
        switch (link_.send(*item.message)) {
            case SendResult::busy:
                busy_ = true;
                return true;
            case SendResult::down:
                return true;
            case SendResult::rejected: {
                message_type message = window_.reject();
                release_rejected();
                return this->template call<typename Hooks::Unsent>(guard, number,
                                                                   std::move(message));
            }
            case SendResult::sent:
                break;
        }
        if (sent_at_ == never) sent_at_ = now_;
        std::optional<message_type> removed = window_.sent();
        if constexpr (detail::has_hook_of<typename Hooks::Sent, Observer>) {
            if (removed)
                return this->template call<typename Hooks::Sent>(guard, number,
                                                                 std::as_const(*removed));
            const typename Window::HookMessage held{window_, number, guard};
            return this->template call<typename Hooks::Sent>(guard, number, held.message());
        }
        return true;
    }

    /// Notifies the queue's observer of what was removed in the journal directly.
    void notify_queue() {
        const std::size_t released = window_.take_released();
        if (released != 0) queue_.notify_released(released);
    }

    [[nodiscard]] bool is_drained() const noexcept {
        return drain_.runs() && !closing_ && depth() == 0;
    }
    void finish_drain() {
        if (options_.promise == OutboxOptions::at_least_once) {
            drain_.end();
            return stop();
        }
        // Messages that the connection has taken still leave.
        closing_ = true;
        link_.drain(elapsed(now_, drain_.ends()));
    }

    const OutboxOptions options_;
    Queue queue_;
    Window window_;
    std::error_code failed_{};  // the journal's failure; until a flush succeeds, or for good
    bool dirty_ = false;
    bool flush_failed_ = false;
    bool closing_ = false;              // a drain: everything was sent
    bool ends_here_ = false;            // this side ended the connection
    bool tells_undeliverable_ = false;  // on_undeliverable is due
    Instant flush_again_ = never;       // after a flush that has failed
    Instant sent_at_ = never;           // when the first message on this connection was sent
    Instant sends_from_ = always;       // when a message that is alone may be sent on it
    Duration quiet_ = quiet_min;        // how long such a message waits
    Link link_;
};

}}  // namespace belay

// SPDX-License-Identifier: MIT
/// \file belay/session/detail/outbox_window.hpp
/// OutboxWindow: the messages of an outbox between its queue and the connection.
#pragma once

#include <algorithm>     // std::all_of
#include <cstddef>       // std::ptrdiff_t, std::size_t
#include <cstdint>       // std::uint64_t
#include <deque>         // std::deque
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/session/outbox_options.hpp>
#include <belay/session/session_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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

}}}  // namespace belay::detail

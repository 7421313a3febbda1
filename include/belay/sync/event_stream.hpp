// SPDX-License-Identifier: MIT
/// \file belay/sync/event_stream.hpp
/// EventStream: reads server-sent events from bytes as they arrive.
#pragma once

#include <algorithm>    // std::min
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange

#include <belay/core/instant.hpp>
#include <belay/http/detail/http_text.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Reads server-sent events ("text/event-stream") from bytes in chunks of any size.
///
///     EventStream events;
///     void on_chunk(std::string_view piece) {
///         while (std::optional<EventStream::Event> event = events.next(piece)) use(*event);
///         if (events.too_long()) give_up();
///     }
///
/// Lines end with LF, CR or CRLF. The reader skips a byte order mark at the start, comments and
/// unknown fields. If the stream breaks off within an event, that event is not returned. The reader
/// does not check that the bytes are UTF-8, and does not replace those that are not.
///
/// Thread safety: a plain value.   Complexity: O(bytes).
/// Memory:        up to the limit of one event, and the last id.
/// Source:        WHATWG HTML, "Server-sent events", 9.2.5 and 9.2.6.
class EventStream {
public:
    /// An event with data; the reader does not return events without data.
    struct Event {
        /// The value of its last field `event`; "message" if it has none.
        std::string type = "message";
        /// The values of its data fields, with "\n" between them.
        std::string data{};
        /// The last id, received with this event or before it; empty if there was none.
        std::string id{};

        friend bool operator==(const Event&, const Event&) = default;
    };

    /// The default limit for an event: the unfinished line, the type and the data together. An id
    /// may take as much in addition.
    static constexpr std::size_t default_bytes_max = std::size_t{4} << 20;

    EventStream() noexcept = default;
    explicit EventStream(std::size_t event_bytes_max) noexcept : bytes_max_{event_bytes_max} {}

    /// Reads until an event is complete, and removes the bytes that it has read from the front of
    /// `bytes`.
    ///
    /// Returns: the event; nullopt if it needs more bytes, or if too_long(). After nullopt, `bytes`
    ///          is empty.
    /// Throws:  std::bad_alloc.
    [[nodiscard]] std::optional<Event> next(std::string_view& bytes) {
        while (!too_long_ && !bytes.empty()) {
            // The second half of a CRLF. Its first half has ended the line.
            const bool again = std::exchange(after_cr_, false) && bytes.front() == '\n';
            if (again) bytes.remove_prefix(1);
            const std::size_t end = bytes.find_first_of("\r\n");
            keep(bytes.substr(0, end));
            if (end == bytes.npos) break;
            after_cr_ = bytes[end] == '\r';
            bytes.remove_prefix(end + 1);
            if (too_long_) break;
            if (std::optional<Event> event = end_line()) return event;
        }
        bytes = {};
        return std::nullopt;
    }

    /// Returns whether an event was longer than the limit; nothing more is read then.
    [[nodiscard]] bool too_long() const noexcept { return too_long_; }
    /// Returns the value of `Last-Event-ID` for the next request of the stream; empty for no
    /// header.
    [[nodiscard]] const std::string& last_event_id() const noexcept { return last_id_; }
    /// Returns how long the server wants clients to wait before that request, if it has sent a
    /// time.
    [[nodiscard]] std::optional<Duration> retry() const noexcept { return retry_; }

    /// Prepares for the same stream on a new connection.
    ///
    /// Discards what was read of an unfinished event. Keeps the last id and the wait.
    void restart() noexcept {
        forget();
        line_.clear();
        id_ = std::nullopt;
        first_ = true;
        after_cr_ = too_long_ = false;
    }

private:
    void keep(std::string_view part) {
        // Only the colon of a comment is stored, so that a comment does not count towards the
        // limit.
        if (line_.empty() && part.starts_with(':')) line_ = ":";
        if (line_.starts_with(':')) return;
        const std::size_t held = line_.size() + data_.size() + type_.size();
        too_long_ = part.size() > bytes_max_ - std::min(held, bytes_max_);
        if (!too_long_) line_ += part;
    }
    [[nodiscard]] std::optional<Event> end_line() {
        std::string_view line = line_;
        if (std::exchange(first_, false) && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
        if (line.empty()) {
            line_.clear();
            return dispatch();
        }
        take_field(line);
        line_.clear();
        return std::nullopt;
    }
    void take_field(std::string_view line) {
        const std::string_view name = line.substr(0, line.find(':'));
        std::string_view value = line.substr(std::min(name.size() + 1, line.size()));
        if (value.starts_with(' ')) value.remove_prefix(1);
        if (name == "data") {
            (data_ += value) += '\n';
        } else if (name == "event") {
            type_ = value;
        } else if (name == "id") {
            if (value.find('\0') == value.npos) id_ = value;
        } else if (name == "retry") {
            if (const auto wait = detail::number_in(value)) {
                retry_ = std::chrono::milliseconds{*wait};
            }
        }
    }
    [[nodiscard]] std::optional<Event> dispatch() {
        if (id_) last_id_ = *std::exchange(id_, std::nullopt);
        if (data_.empty()) return forget(), std::nullopt;
        data_.pop_back();
        Event event;
        if (!type_.empty()) event.type = std::move(type_);
        event.data = std::move(data_);
        event.id = last_id_;
        forget();
        return event;
    }
    void forget() noexcept {
        type_.clear();
        data_.clear();
    }

    std::size_t bytes_max_ = default_bytes_max;
    std::string line_;  ///< what was read of one
    std::string type_;
    std::string data_;
    std::string last_id_;
    std::optional<std::string> id_;  ///< not the last one before its event is complete
    std::optional<Duration> retry_;
    bool first_ = true;
    bool after_cr_ = false;
    bool too_long_ = false;
};

}}  // namespace belay

// SPDX-License-Identifier: MIT
/// \file belay/mcp/detail/answer.hpp
/// McpAnswer: reads the answer of a server to one request, as JSON or as an event stream.
#pragma once

#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/http/http_message.hpp>
#include <belay/mcp/detail/message.hpp>
#include <belay/sync/event_stream.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The most requests of a server that are answered at once.
inline constexpr std::size_t mcp_requests_max = 16;

/// The limits of an answer.
struct McpLimits {
    std::size_t bytes_max = std::size_t{16} << 20;
    std::size_t depth_max = 64;
};

/// Parses the body of one response, piece by piece, until it contains the answer.
///
/// In an event stream the first answer counts, and ends the reading. requests() returns the
/// requests that the server sent before. In a JSON body a second answer is an error.
///
/// Thread safety: a plain value.   Memory: up to the limit of a body, or of an event.
class McpAnswer {
public:
    McpAnswer(std::uint64_t id, const McpLimits& limits)
        : id_{id}, limits_{limits}, events_{limits.bytes_max} {}

    /// Takes the next piece of a successful response.   Throws: std::bad_alloc.
    void take(const HttpResponse& head, std::string_view piece) {
        if (over() || piece.empty()) return;
        if (form_ == Form::unknown) {
            form_ = has_media_type(head, "application/json")    ? Form::json
                    : has_media_type(head, "text/event-stream") ? Form::events
                                                                : Form::other;
        }
        if (form_ == Form::other) return fail(mcp::Errc::bad_type);
        if (form_ == Form::events) return take_events(piece);
        if (piece.size() > limits_.bytes_max - body_.size()) return fail(HttpErrc::too_long);
        body_ += piece;
    }
    /// Ends the response.   Throws: std::bad_alloc.
    void end() {
        if (over()) return;
        if (form_ == Form::json) read(body_, true);
        if (!over()) fail(mcp::Errc::no_answer);
    }

    /// Whether there is an answer, or will never be one.
    [[nodiscard]] bool over() const noexcept { return answer_ || error_; }
    /// Returns the message that answers.   Pre: over().
    [[nodiscard]] Result<McpMessage> answer() && {
        if (error_) return error_;
        return std::move(*answer_);
    }
    /// Returns the server's requests since the last call.
    [[nodiscard]] std::vector<McpMessage> requests() { return std::exchange(requests_, {}); }

private:
    enum class Form : std::uint8_t { unknown, json, events, other };

    void fail(std::error_code error) noexcept { error_ = error; }

    void take_events(std::string_view piece) {
        while (std::optional<EventStream::Event> event = events_.next(piece)) {
            if (event->type == "message") read(event->data, false);
            if (over()) return;
        }
        if (events_.too_long()) fail(HttpErrc::too_long);
    }

    void read(std::string_view text, bool whole) {
        auto messages = read_messages(text, limits_.depth_max);
        if (!messages) return fail(messages.error());
        for (McpMessage& message : *messages) {
            if (message.kind == McpMessage::Kind::request) {
                if (requests_.size() == mcp_requests_max) return fail(mcp::Errc::asks_too_much);
                requests_.push_back(std::move(message));
            } else if (message.kind != McpMessage::Kind::notification && is_ours(message)) {
                if (answer_ && whole) return fail(mcp::Errc::two_answers);
                if (!answer_) answer_.emplace(std::move(message));
            }
        }
    }
    /// An error without an id belongs to our request, because there is no other.
    [[nodiscard]] bool is_ours(const McpMessage& message) const {
        return message.id.is_null() || (message.id.is_number_integer() && message.id == id_);
    }

    std::uint64_t id_;
    McpLimits limits_;
    Form form_ = Form::unknown;
    std::string body_;
    EventStream events_;
    std::optional<McpMessage> answer_;
    std::error_code error_;
    std::vector<McpMessage> requests_;
};

}}}  // namespace belay::detail

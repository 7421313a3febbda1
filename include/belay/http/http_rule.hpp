// SPDX-License-Identifier: MIT
/// \file belay/http/http_rule.hpp
/// check::HttpRule: the rules that check::http checks.
#pragma once

#include <cstdint>  // std::uint8_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The rules for an HTTP client that the compiler cannot check; see HttpLike and HttpRequest.
enum class HttpRule : std::uint8_t {
    answers,
    returns_the_response,
    sends_what_was_asked,
    rejects_other_urls,
    rejects_bad_text,
    part_is_no_response,
    sent_is_reliable,
    limit_holds,
    deadline_holds,
    sends_nothing_after_the_deadline,
    follows_only_if_asked,
    follows_three_at_most,
    follows_within_the_origin,
    pieces_arrive_on_the_home_thread,
    head_comes_first,
    pieces_are_the_body,
    pieces_come_as_they_are_sent,
    dropping_answers_nothing,
    reports_nothing_after_dropping,
    end_answers_nothing,
    response_belongs_to_its_request
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(HttpRule rule) noexcept {
    constexpr const char* sentences[] = {
        "the client answers each request, even if no server listens",
        "the answer has the status, the headers and the decompressed body that the server sent, "
        "and is not a failure, whatever its status is",
        "the server receives the method, the target, the headers and the body of the request",
        "the client answers bad_url without sending, if a URL is not http or https, or contains "
        "credentials or spaces",
        "the client answers bad_text without sending, if a method or header would change the "
        "request",
        "a response that is cut short or malformed is a failure",
        "sent is false only if the server received nothing of the request",
        "a body longer than body_bytes_max after decompression is a failure; a body of that length "
        "is not",
        "a response that is incomplete at the deadline fails with Cause::timed_out, and no request "
        "times out before its deadline",
        "the client answers timed_out without sending, if the deadline is 0 or less",
        "the client follows a redirection only if the request allows it",
        "the client follows at most three redirections, and returns the next one as the response",
        "the client returns a redirection to another origin as the response",
        "the client calls on_chunk on its own thread, and never inside request()",
        "the first call of on_chunk has the status and the headers, and an empty piece",
        "the pieces together are the body; they arrive before the answer, whose body is empty",
        "the client calls on_chunk as soon as a piece arrives, and does not wait for the whole "
        "response",
        "the destructor of a handle ends its request without a response",
        "the client reports nothing after a handle was destroyed, even if on_chunk destroyed it",
        "the destructor of a client ends its requests without responses, and a handle may outlive "
        "the client",
        "a response that arrives on an idle connection is not the response to the next request"};
    const auto i = static_cast<std::size_t>(rule);
    return i < sizeof sentences / sizeof sentences[0] ? sentences[i] : "unknown";
}

}}}  // namespace belay::check

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
    tells_the_response,
    sends_what_was_asked,
    refuses_other_urls,
    refuses_bad_text,
    part_is_no_response,
    sent_is_no_lie,
    limit_holds,
    deadline_holds,
    follows_only_if_asked,
    follows_three_at_most,
    follows_within_the_origin,
    pieces_come_at_home_later,
    head_comes_first,
    pieces_are_the_body,
    pieces_come_as_they_are_sent,
    dropping_says_no,
    tells_nothing_after_dropping,
    end_says_no
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(HttpRule rule) noexcept {
    constexpr const char* sentences[] = {
        "each request is answered, also where nobody listens",
        "the answer is the status, the headers and the body that the server sent, decompressed, "
        "and no failure whatever its status",
        "the server gets the method, the target, the headers and the body that were asked for",
        "a URL that is not of http or https, or has credentials or blanks in it, is answered "
        "bad_url, not sent",
        "a method or header that would make another request is answered bad_text, not sent",
        "a response that ends too early, or is none, is a failure",
        "sent is false only of a request of which the server has seen nothing",
        "a body beyond body_bytes_max, once decompressed, is a failure; one of that length is not",
        "a response that is not whole at the deadline is a failure of Cause::timed_out, and "
        "nothing is earlier",
        "no redirection is followed unless the request says so",
        "three redirections are followed at the most, and the next one is the response",
        "a redirection to another origin is the response",
        "on_chunk is called on the thread that runs the client, and never out of request()",
        "on_chunk has the status and the headers first, with an empty piece",
        "the pieces together are the body, come before the answer, and leave its body empty",
        "a piece is told as soon as it is there, not when the response is whole",
        "the end of a handle says no",
        "nothing is told once the handle is gone, also if it went inside of on_chunk",
        "the end of a client says no to what is under way, and handles may outlive it"};
    const auto i = static_cast<std::size_t>(rule);
    return i < sizeof sentences / sizeof sentences[0] ? sentences[i] : "unknown";
}

}}}  // namespace belay::check

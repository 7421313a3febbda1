// SPDX-License-Identifier: MIT
/// \file belay/http/http_like.hpp
/// HttpLike: an HTTP client; the seam where users plug in their own.
#pragma once

#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::declval

#include <belay/core/completion.hpp>
#include <belay/http/http_message.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// What keeps a request going.
template <class H>
using HttpHandleOf = decltype(std::declval<H&>().request(std::declval<HttpRequest>(),
                                                         std::declval<Completion<HttpResponse>>()));
template <class H>
concept TakesHttpRequests = requires { typename HttpHandleOf<H>; };
template <class H>
concept HasHttpHandle = TakesHttpRequests<H> && std::is_class_v<HttpHandleOf<H>> &&
                        std::is_nothrow_move_constructible_v<HttpHandleOf<H>> &&
                        std::is_nothrow_destructible_v<HttpHandleOf<H>>;
}  // namespace detail

/// Makes HTTP requests, none of which blocks; curl::Http is one.
///
///     auto handle = http.request(HttpRequest{.url = "https://example.com/"},
///                                Completion<HttpResponse>{[](auto response) noexcept {
///                                    if (response) use(*response);
///                                }});
///
/// Required: `request(HttpRequest, Completion<HttpResponse>)`, which starts a request and returns a
/// handle on it at once. The answer comes at any time, also from inside of request(): the response,
/// be it one that says what went wrong.
///
/// - Dropping the handle aborts the request: then nothing is told any more, and the Completion, if
///   anybody still wants it, says no. Also inside of on_chunk. After the answer it does nothing.
/// - The end of the client aborts what is under way: those Completions say no. Handles may outlive
///   it.
/// - Limits, the deadline and on_chunk hold as HttpRequest says; a request that cannot be sent as
///   it is, is answered so (HttpErrc::bad_url, bad_text), and never sent in another form.
/// - `HttpResponse::sent` is false only if no byte of the request has left.
///
/// Thread safety: request(), handles and on_chunk are of one thread, the one that runs who asks;
///                Completions are answered on any.
/// Throws:        request() may, std::bad_alloc; then nothing was asked.
template <class H>
concept HttpLike = detail::TakesHttpRequests<H> && detail::HasHttpHandle<H>;

namespace explain {

/// Names every requirement of HttpLike that H lacks.
template <class H>
consteval bool http_like() {
    static_assert(detail::TakesHttpRequests<H>,
                  "HttpLike: H needs 'request(belay::HttpRequest, "
                  "belay::Completion<belay::HttpResponse>)', see docs/http.md");
    if constexpr (detail::TakesHttpRequests<H>) {
        static_assert(detail::HasHttpHandle<H>,
                      "HttpLike: request() must return a handle, a class that moves without "
                      "throwing, whose end aborts the request");
    }
    return HttpLike<H>;
}

}  // namespace explain

}}  // namespace belay

// SPDX-License-Identifier: MIT
/// \file belay/http/http_like.hpp
/// HttpLike: an HTTP client; implement it to use your own.
#pragma once

#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::declval

#include <belay/core/completion.hpp>
#include <belay/http/http_message.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// The type of the handle that keeps a request going.
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

/// The requirements for an HTTP client that does not block, such as curl::Http.
///
///     auto handle = http.request(HttpRequest{.url = "https://example.com/"},
///                                [](auto response) noexcept {
///                                    if (response) use(*response);
///                                });
///
/// Required: `request(HttpRequest, Completion<HttpResponse>)`, which starts a request and returns a
/// handle on it at once. The answer is a response, which may report a failure. It may come at any
/// time, also inside request().
///
/// - Destroying the handle aborts the request, also inside on_chunk. on_chunk is not called any
///   more, and the Completion answers "no" if its answer is still wanted. After the answer,
///   destroying the handle has no effect.
/// - Destroying the client aborts the requests in progress: their Completions answer "no". Handles
///   may outlive the client.
/// - Limits, the deadline and on_chunk hold as HttpRequest specifies. A request that cannot be sent
///   as it is fails with HttpErrc::bad_url or bad_text, and is never sent in another form. A
///   HEAD with a body fails with bad_text.
/// - `HttpResponse::sent` is false only if no byte of the request has left.
///
/// Thread safety: request(), handles and on_chunk belong to one thread, the one that runs the
/// caller; Completions are answered on any thread.
/// Throws:        request() may throw std::bad_alloc; then no request was started.
template <class H>
concept HttpLike = detail::TakesHttpRequests<H> && detail::HasHttpHandle<H>;

namespace explain {

/// Names every requirement of HttpLike that H lacks.
template <class H>
consteval bool http_like() {
    static_assert(detail::TakesHttpRequests<H>,
                  "HttpLike: H needs 'request(belay::HttpRequest, "
                  "belay::Completion<belay::HttpResponse>)', see docs/reference/http.md");
    if constexpr (detail::TakesHttpRequests<H>) {
        static_assert(detail::HasHttpHandle<H>,
                      "HttpLike: request() must return a handle: a class that moves without "
                      "throwing, and whose destructor aborts the request");
    }
    return HttpLike<H>;
}

}  // namespace explain

}}  // namespace belay

// SPDX-License-Identifier: MIT
/// \file belay/http/http_message.hpp
/// HttpRequest and HttpResponse: what an HTTP client is asked, and answers.
#pragma once

#include <initializer_list>  // std::initializer_list
#include <limits>            // std::numeric_limits
#include <string>            // std::string
#include <string_view>       // std::string_view
#include <utility>           // std::move, std::forward
#include <vector>            // std::vector

#include <belay/core/detail/function.hpp>
#include <belay/core/http_failure.hpp>
#include <belay/http/detail/http_text.hpp>
#include <belay/http/http_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The header fields of a request or response, in their order; names are read in any case.
///
///     HttpHeaders headers{{"Accept", "application/json"}};
///     headers.set({"Authorization", "Bearer " + token});
///     if (const std::string* id = response.headers.find("mcp-session-id")) keep(*id);
///
/// Thread safety: a plain value.   Complexity: O(fields) each.
class HttpHeaders {
public:
    struct Field {
        std::string name;
        std::string value;
        friend bool operator==(const Field&, const Field&) = default;
    };

    HttpHeaders() noexcept = default;
    HttpHeaders(std::initializer_list<Field> fields) : fields_{fields} {}

    /// One more, behind the others.   Throws: std::bad_alloc.
    void add(Field field) { fields_.push_back(std::move(field)); }
    /// This one, and no other of its name.   Throws: std::bad_alloc.
    void set(Field field) {
        std::erase_if(fields_,
                      [&](const Field& f) { return detail::is_same_name(f.name, field.name); });
        add(std::move(field));
    }
    /// The value of the first of this name; null if there is none.
    [[nodiscard]] const std::string* find(std::string_view name) const noexcept {
        for (const Field& f : fields_) {
            if (detail::is_same_name(f.name, name)) return &f.value;
        }
        return nullptr;
    }

    [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
    [[nodiscard]] auto end() const noexcept { return fields_.end(); }
    [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
    [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }

    friend bool operator==(const HttpHeaders&, const HttpHeaders&) = default;

private:
    std::vector<Field> fields_;
};

/// What a server answered, or why it did not.
///
/// Any response that came whole is one, whatever its status: look at the status first, then at the
/// body. http_failure(response) takes both ways of failing for one.
///
/// Thread safety: a plain value.
struct HttpResponse {
    /// As the server sent it; 0 if nothing came.
    int status = 0;
    HttpHeaders headers{};
    /// Decompressed; empty where it was handed to on_chunk.
    std::string body{};
    /// Why the response is not whole, or not there; no failure if it is. What came of it until then
    /// is above.
    Failure failure{};
    /// Whether the server may have seen the request. False only if it surely has not: then asking
    /// again does nothing twice.
    bool sent = true;

    /// Whether the response is whole, whatever its status.
    [[nodiscard]] bool complete() const noexcept { return failure.cause == Cause::none; }

    friend bool operator==(const HttpResponse&, const HttpResponse&) = default;
};

/// What is wrong with a response: why it is not whole, else what its status stands for, with the
/// wait that its Retry-After asks for; no failure from 200 to 299.
///
/// A Retry-After that is a date is measured from the response's own `Date`; a day at the most.
[[nodiscard]] inline Failure http_failure(const HttpResponse& response) noexcept {
    if (!response.complete()) return response.failure;
    const std::string* const wait = response.headers.find("Retry-After");
    const std::string* const date = response.headers.find("Date");
    if (wait == nullptr) return http_failure(response.status);
    const detail::RetryAfter asked{*wait, date != nullptr ? std::string_view{*date} : ""};
    return http_failure(response.status, asked.wait());
}

namespace detail {

/// A function that takes a response in pieces; must be noexcept.
class OnChunk {
public:
    OnChunk() noexcept = default;
    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, OnChunk> &&
                 std::is_invocable_v<std::decay_t<F>&, const HttpResponse&, std::string_view>)
    OnChunk(F&& f) : function_{std::forward<F>(f)} {
        static_assert(
            std::is_nothrow_invocable_v<std::decay_t<F>&, const HttpResponse&, std::string_view>,
            "HttpRequest: on_chunk must be noexcept: it is called out of foreign code");
    }
    /// Pre: not empty.
    void operator()(const HttpResponse& head, std::string_view piece) { function_(head, piece); }
    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(function_); }

private:
    Function<void(const HttpResponse&, std::string_view)> function_;
};

}  // namespace detail

/// What an HTTP client is asked.
///
///     HttpRequest{.url = "https://example.com/mcp",
///                 .method = "POST",
///                 .headers = {{"Content-Type", "application/json"}},
///                 .body = R"({"jsonrpc":"2.0","id":1,"method":"ping"})",
///                 .deadline = 10s}
///
/// Thread safety: a plain value that moves and is not copied.
struct HttpRequest {
    /// For body_bytes_max: as much as the server sends. Only with an on_chunk that keeps little.
    static constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

    /// Absolute, of http or https, without credentials in it: those go into a header.
    std::string url{};
    std::string method = "GET";
    /// Added to those that the client writes by itself: Host, Content-Length, Accept-Encoding.
    HttpHeaders headers{};
    std::string body{};
    /// From request() to the end of the response; `forever` for a stream that has no end.
    Duration deadline = std::chrono::seconds{30};
    /// The longest body that is taken, all pieces together, after it is decompressed.
    std::size_t body_bytes_max = std::size_t{16} << 20;
    /// Whether redirections are followed: three at most, and only to the same scheme, host and
    /// port. One that is not followed is the response.
    bool redirects = false;
    /// If given, it gets the response in pieces, `(const HttpResponse& head, std::string_view
    /// piece) noexcept`: status and headers with each, the first time with an empty piece, as soon
    /// as they are there. The response's body stays empty, then.
    ///
    /// Called on the client's thread, after request() has returned, before the answer, and never
    /// after the handle is gone; which it may drop.
    detail::OnChunk on_chunk{};
};

}}  // namespace belay

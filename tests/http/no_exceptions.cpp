// SPDX-License-Identifier: MIT
// A client of HTTP without exceptions and RTTI.
#include <optional>
#include <string>
#include <string_view>

#include <belay/http.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// Answers at once, a piece first.
struct Http {
    struct Handle {};
    Handle request(HttpRequest request, Completion<HttpResponse> done) {
        HttpResponse response{.status = 503, .headers = {{"Retry-After", "7"}}};
        if (request.on_chunk) request.on_chunk(response, request.url);
        done(std::move(response));
        return {};
    }
};
static_assert(explain::http_like<Http>());

bool asks_by_http() {
    std::string pieces;
    Failure failure;
    Http http;
    static_cast<void>(
        http.request({.url = "u",
                      .on_chunk = [&](const HttpResponse&,
                                      std::string_view piece) noexcept { pieces += piece; }},
                     Completion<HttpResponse>{[&](std::optional<HttpResponse> response) noexcept {
                         if (response) failure = http_failure(*response);
                     }}));
    return pieces == "u" && failure.cause == Cause::overloaded && failure.retry_after == 7s;
}

}  // namespace

int main() { return asks_by_http() ? 0 : 6; }

// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <memory>
#include <string>
#include <string_view>

#include <belay/drive.hpp>
#include <belay/http.hpp>
#include <belay/http/http_calls.hpp>
#include <belay/posix/http_check.hpp>

// expect-error: HttpRequest: on_chunk must be noexcept
namespace on_chunk_that_may_throw {
belay::HttpRequest use(std::string& text) {
    return {
        .on_chunk = [&text](const belay::HttpResponse&, std::string_view piece)
#if defined(BELAY_CONTROL)
                        noexcept
#endif
        { text += piece; }
    };
}
}  // namespace on_chunk_that_may_throw

// expect-error: HttpLike: request.. must return a handle
namespace http_without_handle {
struct Http {
#if defined(BELAY_CONTROL)
    struct Handle {};
    Handle request(belay::HttpRequest, belay::Completion<belay::HttpResponse>) { return {}; }
#else
    bool request(belay::HttpRequest, belay::Completion<belay::HttpResponse>) { return true; }
#endif
};
static_assert(belay::explain::http_like<Http>());
}  // namespace http_without_handle

// expect-error: check::http: make must be callable and return a pointer
namespace check_of_a_rig_that_never_runs {
struct Http {
    struct Handle {};
    Handle request(belay::HttpRequest, belay::Completion<belay::HttpResponse>) { return {}; }
};
struct Rig {
    Http http;
#if defined(BELAY_CONTROL)
    void run_once() {}
#endif
};

void use() {
    static_cast<void>(belay::check::http([] { return std::make_unique<Rig>(); }));
}
}  // namespace check_of_a_rig_that_never_runs

// expect-error: HttpCalls::send: the request must be a variable
namespace temporary_request_of_calls {
struct Http {
    struct Handle {};
    Handle request(belay::HttpRequest, belay::Completion<belay::HttpResponse>) { return {}; }
};
auto use(belay::HttpCalls<Http, belay::LoopSleeper<belay::Loop<>>>& calls) {
#if defined(BELAY_CONTROL)
    belay::HttpRequest request{.url = "http://example.com/"};
    return calls.send(request);
#else
    return calls.send({.url = "http://example.com/"});
#endif
}
}  // namespace temporary_request_of_calls

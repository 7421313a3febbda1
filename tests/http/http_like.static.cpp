// SPDX-License-Identifier: MIT
// Goal: the smallest HTTP client satisfies the concept, and none with an omission does.
#include <belay/http/http_message.hpp>

namespace {

using namespace belay;

struct Handle {
    Handle() = default;
    Handle(Handle&&) noexcept = default;
    Handle& operator=(Handle&&) = delete;
};
struct SmallestHttp {
    SmallestHttp() = default;
    SmallestHttp(const SmallestHttp&) = delete;
    static Handle request(HttpRequest, Completion<HttpResponse>) { return {}; }
};
struct TakesReferences {
    static Handle request(HttpRequest&&, Completion<HttpResponse>&&) { return {}; }
};
struct NoHttp {};
struct ReturnsNothing {
    static void request(HttpRequest, Completion<HttpResponse>) {}
};
struct ReturnsAnId {
    static int request(HttpRequest, Completion<HttpResponse>) { return 0; }
};
struct PinnedHandle {
    PinnedHandle() = default;
    PinnedHandle(const PinnedHandle&) = delete;
};
struct ReturnsPinned {
    static PinnedHandle request(HttpRequest, Completion<HttpResponse>) { return {}; }
};
struct WantsACopy {
    static Handle request(HttpRequest&, Completion<HttpResponse>) { return {}; }
};
struct OtherAnswer {
    static Handle request(HttpRequest, Completion<int>) { return {}; }
};
class Private {
    static Handle request(HttpRequest, Completion<HttpResponse>) { return {}; }
};

static_assert(HttpLike<SmallestHttp> && explain::http_like<SmallestHttp>());
static_assert(HttpLike<TakesReferences>);
static_assert(!HttpLike<NoHttp> && !HttpLike<ReturnsNothing> && !HttpLike<ReturnsAnId>);
static_assert(!HttpLike<ReturnsPinned> && !HttpLike<WantsACopy> && !HttpLike<OtherAnswer>);
static_assert(!HttpLike<Private>);

// A request can be moved, and not copied by accident.
static_assert(std::is_nothrow_move_constructible_v<HttpResponse>);
static_assert(std::is_move_constructible_v<HttpRequest> &&
              !std::is_copy_constructible_v<HttpRequest>);

}  // namespace

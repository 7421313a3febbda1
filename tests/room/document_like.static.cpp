// SPDX-License-Identifier: MIT
// Goal: DocumentLike accepts its minimal model, and rejects types that lack one requirement each.
#include <belay/room/document_like.hpp>
#include <belay/yjs/yjs_document.hpp>

#include "support/room/room_archetypes.hpp"

namespace {

using namespace belay;
using belay_test::MinimalDocument;

struct WithoutCopy : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    WithoutCopy(const WithoutCopy&) = delete;
    WithoutCopy& operator=(const WithoutCopy&) = delete;
};
struct WithoutCheck : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static void check() {}
};
struct CheckReturnsNothing : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static std::error_code check(BytesView) { return {}; }
};
struct ApplyReturnsNothing : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static void apply(BytesView) {}
};
struct SnapshotIsOne : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static Bytes snapshot() { return {}; }
};
struct BytesMayThrow : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static std::size_t bytes() { return 0; }
};
struct VectorIsText : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static const char* state_vector() { return ""; }
};
struct DiffOfAnotherForm : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static Result<Bytes> diff(int) { return Bytes{}; }
};

static_assert(DocumentLike<MinimalDocument> && explain::document_like<MinimalDocument>());
static_assert(DocumentLike<YjsDocument>);
static_assert(!DocumentLike<WithoutCopy> && !DocumentLike<WithoutCheck>);
static_assert(!DocumentLike<CheckReturnsNothing> && !DocumentLike<ApplyReturnsNothing>);
static_assert(!DocumentLike<SnapshotIsOne> && !DocumentLike<BytesMayThrow>);
static_assert(!DocumentLike<VectorIsText> && !DocumentLike<DiffOfAnotherForm>);
static_assert(!DocumentLike<int>);

}  // namespace

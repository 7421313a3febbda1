// SPDX-License-Identifier: MIT
// Goal: DocumentLike accepts its minimal model, and rejects types that lack one requirement each.
#include <belay/room/document_like.hpp>
#include <belay/room/opaque_document.hpp>
#include <belay/yjs/yjs_document.hpp>

#include "support/room/room_archetypes.hpp"

namespace {

using namespace belay;
using belay_test::ComparingDocument;
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
struct VectorAlone : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static Bytes state_vector() { return {}; }
};
struct DiffAlone : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static Result<Bytes> diff(BytesView) { return Bytes{}; }
};
struct DiffOfAnotherForm : ComparingDocument {
    using ComparingDocument::ComparingDocument;
    static Result<Bytes> diff(int) { return Bytes{}; }
};
struct OverloadedAndWrong : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static Bytes diff(int) { return {}; }
    static Bytes diff(double) { return {}; }
};
class Private : public MinimalDocument {
public:
    using MinimalDocument::MinimalDocument;

private:
    [[maybe_unused]] static Bytes state_vector() { return {}; }
};
struct Template : MinimalDocument {
    using MinimalDocument::MinimalDocument;
    template <class T>
    static T state_vector(T) {
        return {};
    }
};

static_assert(DocumentLike<MinimalDocument> && explain::document_like<MinimalDocument>());
static_assert(DocumentLike<ComparingDocument> && explain::document_like<ComparingDocument>());
static_assert(DocumentLike<YjsDocument> && DocumentLike<OpaqueDocument>);
static_assert(detail::ComparesDocument<YjsDocument> && detail::ComparesDocument<ComparingDocument>);
static_assert(!detail::ComparesDocument<OpaqueDocument>);
static_assert(!DocumentLike<WithoutCopy> && !DocumentLike<WithoutCheck>);
static_assert(!DocumentLike<CheckReturnsNothing> && !DocumentLike<ApplyReturnsNothing>);
static_assert(!DocumentLike<SnapshotIsOne> && !DocumentLike<BytesMayThrow>);
static_assert(!DocumentLike<VectorAlone> && !DocumentLike<DiffAlone>);
static_assert(!DocumentLike<DiffOfAnotherForm> && !DocumentLike<OverloadedAndWrong>);
static_assert(!DocumentLike<Private> && !DocumentLike<Template> && !DocumentLike<int>);

}  // namespace

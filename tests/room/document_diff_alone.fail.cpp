// SPDX-License-Identifier: MIT
// expect-error: DocumentLike: D needs both 'belay::Bytes state_vector..' and 'belay::Result<belay::Bytes> diff
#include <belay/room/document_like.hpp>

#include "support/room/room_archetypes.hpp"

#ifdef BELAY_CONTROL
struct Document : belay_test::ComparingDocument {
    using ComparingDocument::ComparingDocument;
};
#else
struct Document : belay_test::MinimalDocument {
    using MinimalDocument::MinimalDocument;
    static belay::Result<belay::Bytes> diff(belay::BytesView) { return belay::Bytes{}; }
};
#endif

static_assert(belay::explain::document_like<Document>());

int main() {}

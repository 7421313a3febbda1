// SPDX-License-Identifier: MIT
// expect-error: DocumentLike: 'state_requests' must be 'std::vector<belay::Bytes> state_requests
#include <belay/room/document_like.hpp>

#include "support/room/room_archetypes.hpp"

#ifdef BELAY_CONTROL
using Base = belay_test::ComparingDocument;
#else
using Base = belay_test::MinimalDocument;
#endif

struct Document : Base {
    using Base::Base;
    static std::vector<belay::Bytes> state_requests(belay::BytesView, std::size_t) { return {}; }
};

static_assert(belay::explain::document_like<Document>());

int main() {}

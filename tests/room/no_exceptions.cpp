// SPDX-License-Identifier: MIT
// Goal: updates are read, merged, cut and kept in a program built without exceptions and RTTI.
#include <cstdio>
#include <span>

#include <belay/room.hpp>

using namespace belay;

int main() {
    const unsigned char update[] = {1, 1, 7, 0, 4, 1, 1, 't', 2, 'h', 'i', 0};
    const BytesView bytes = std::as_bytes(std::span{update});
    const auto merged = yjs::merge_updates({bytes, bytes});
    if (!merged || merged->update.size() != bytes.size() || merged->conflicts != 0) return 1;
    const auto sv = yjs::state_vector(bytes);
    if (!sv || yjs::diff_update(bytes, *sv)->size() != 2) return 2;
    if (yjs::split_update(bytes, yjs::split_bytes_min)->size() != 1) return 3;
    if (yjs::scrub(bytes)->size() != yjs::coalesce(bytes)->size()) return 4;
    const auto cut = yjs::validate(bytes.first(5));
    if (cut || cut.error().message().empty()) return 5;
    YjsDocument document;
    if (!document.check(bytes).value_or(false) || document.apply(bytes)) return 6;
    if (document.check(bytes).value_or(true) && document.snapshot().size() != 1) return 7;
    OpaqueDocument opaque;
    if (opaque.apply(bytes) || opaque.check(bytes).value_or(true)) return 8;
    std::puts("ok");
    return 0;
}

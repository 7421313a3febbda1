// SPDX-License-Identifier: MIT
/// \file tests/support/room/room_archetypes.hpp
/// The least that the concepts of room/ ask for.
#pragma once

#include <belay/core/result.hpp>
#include <belay/room/document_like.hpp>

namespace belay_test {

/// A document without state vectors, and without default construction.
class MinimalDocument {
public:
    explicit MinimalDocument(int) {}
    [[nodiscard]] belay::Result<bool> check(belay::BytesView) { return true; }
    [[nodiscard]] std::error_code apply(belay::BytesView) { return {}; }
    [[nodiscard]] std::span<const belay::Bytes> snapshot() { return {}; }
    [[nodiscard]] std::size_t bytes() const noexcept { return 0; }
};

/// One with them.
class ComparingDocument : public MinimalDocument {
public:
    using MinimalDocument::MinimalDocument;
    [[nodiscard]] belay::Bytes state_vector() { return {}; }
    [[nodiscard]] belay::Result<belay::Bytes> diff(belay::BytesView) { return belay::Bytes{}; }
};

}  // namespace belay_test

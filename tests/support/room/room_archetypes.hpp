// SPDX-License-Identifier: MIT
/// \file tests/support/room/room_archetypes.hpp
/// The minimal models of the concepts of the room component.
#pragma once

#include <belay/core/result.hpp>
#include <belay/room/document_like.hpp>
#include <belay/room/persistence_like.hpp>

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

/// A document with state vectors.
class ComparingDocument : public MinimalDocument {
public:
    using MinimalDocument::MinimalDocument;
    [[nodiscard]] belay::Bytes state_vector() { return {}; }
    [[nodiscard]] belay::Result<belay::Bytes> diff(belay::BytesView) { return belay::Bytes{}; }
};

/// A persistence that cannot be copied or moved, and does nothing.
class MinimalPersistence {
public:
    MinimalPersistence() = default;
    MinimalPersistence(const MinimalPersistence&) = delete;
    MinimalPersistence& operator=(const MinimalPersistence&) = delete;
    void load(std::string_view,
              belay::Completion<
                  belay::Result<std::optional<belay::StoredRoom>, belay::PersistenceError>>) {}
    [[nodiscard]] belay::Result<std::uint64_t> append(std::string_view, belay::BytesView) {
        return std::uint64_t{1};
    }
    [[nodiscard]] belay::Result<std::uint64_t> reset(std::string_view, const belay::Id&) {
        return std::uint64_t{1};
    }
    [[nodiscard]] std::error_code erase(std::string_view) { return {}; }
    void flush(belay::Completion<belay::PersistenceError>) {}
    void save(std::string_view, std::span<const belay::Bytes>, std::uint64_t,
              belay::Completion<belay::PersistenceError>) {}
    void list(std::string_view, std::size_t,
              belay::Completion<belay::Result<std::vector<std::string>, belay::PersistenceError>>) {
    }
};

/// A persistence that requests saves.
class PersistenceWithRoomsToSave : public MinimalPersistence {
public:
    [[nodiscard]] std::vector<std::string> rooms_to_save() { return {}; }
};

}  // namespace belay_test

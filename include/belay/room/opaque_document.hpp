// SPDX-License-Identifier: MIT
/// \file belay/room/opaque_document.hpp
/// OpaqueDocument: keeps updates that the server does not understand, one after the other.
#pragma once

#include <algorithm>     // std::lower_bound, std::lexicographical_compare, std::equal
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint32_t
#include <span>          // std::span
#include <system_error>  // std::error_code
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The limits of an OpaqueDocument for updates of peers.
struct OpaqueDocumentOptions {
    /// The maximum number of bytes of one update.
    std::size_t update_bytes_max = std::size_t{16} << 20;
    /// The maximum number of updates.
    std::size_t updates_max = 10'000;
    /// The maximum number of bytes of all updates together.
    std::size_t bytes_max = std::size_t{64} << 20;
};

/// A document of any CRDT whose updates may come twice and in any order, such as Automerge and
/// Loro.
///
/// It keeps the updates as a log, which grows with every edit. Each client that joins is sent all
/// of it. Identical updates are kept once, so a client that sends its updates again after an outage
/// adds nothing.
///
/// Models:        DocumentLike, without state vectors.
/// Thread safety: distinct objects safe.
class OpaqueDocument {
public:
    OpaqueDocument() noexcept : OpaqueDocument{OpaqueDocumentOptions{}} {}
    /// Pre: the limits of `options` are > 0.
    explicit OpaqueDocument(OpaqueDocumentOptions options) noexcept : options_{options} {
        BELAY_OPTION(
            options.update_bytes_max > 0 && options.updates_max > 0 && options.bytes_max > 0,
            "OpaqueDocumentOptions: limits must be > 0");
    }

    /// Returns whether an update of a peer adds anything.
    /// Errors: update_too_large; document_full.   Complexity: O(log n) comparisons.
    [[nodiscard]] Result<bool> check(BytesView update) const {
        if (update.size() > options_.update_bytes_max) {
            return make_error_code(RoomErrc::update_too_large);
        }
        if (update.empty() || is_known(place_of(update), update)) return false;
        if (updates_.size() >= options_.updates_max || update.size() > bytes_left()) {
            return make_error_code(RoomErrc::document_full);
        }
        return true;
    }

    /// Keeps an update, unless it is empty or already there.   Errors: none.
    /// Complexity: O(log n) comparisons; moves at most 4 bytes for each update.
    [[nodiscard]] std::error_code apply(BytesView update) {
        const auto place = place_of(update);
        if (update.empty() || is_known(place, update)) return {};
        const auto offset = place - order_.begin();
        updates_.emplace_back(update.begin(), update.end());
        order_.insert(order_.begin() + offset, static_cast<std::uint32_t>(updates_.size() - 1));
        bytes_ += update.size();
        return {};
    }

    /// Returns all updates, in the order in which they came.   Complexity: O(1).
    [[nodiscard]] std::span<const Bytes> snapshot() const noexcept { return updates_; }
    /// Returns the number of bytes of all updates.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
    using Order = std::vector<std::uint32_t>;  // indexes of updates, in the order of their bytes

    [[nodiscard]] std::size_t bytes_left() const noexcept {
        return options_.bytes_max - std::min(options_.bytes_max, bytes_);
    }
    [[nodiscard]] Order::const_iterator place_of(BytesView update) const {
        return std::lower_bound(order_.begin(), order_.end(), update,
                                [this](std::uint32_t i, BytesView wanted) {
                                    const Bytes& known = updates_[i];
                                    return std::lexicographical_compare(
                                        known.begin(), known.end(), wanted.begin(), wanted.end());
                                });
    }
    [[nodiscard]] bool is_known(Order::const_iterator place, BytesView update) const {
        if (place == order_.end()) return false;
        const Bytes& known = updates_[*place];
        return std::equal(known.begin(), known.end(), update.begin(), update.end());
    }

    OpaqueDocumentOptions options_;
    std::vector<Bytes> updates_;
    Order order_;
    std::size_t bytes_ = 0;
};

}}  // namespace belay

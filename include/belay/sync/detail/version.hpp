// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/version.hpp
/// Version: the identity of a state of an element or a scene. relation: which of two versions
/// replaces the other.
#pragma once

#include <compare>   // std::strong_ordering
#include <cstdint>   // std::uint8_t, std::uint64_t
#include <optional>  // std::optional

#include <belay/sync/stamp.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The contents of a removed element and of a deleted scene, in place of a hash.
inline constexpr std::uint64_t removed_contents = 0xB5AD'4ECE'DA1C'E2A9;

/// A version of an element or a scene: its stamp and the hash of its contents.
///
/// Each user fills in what identifies its versions, the same parts in all of them:
/// - A processor has the stamps. It does not read a value to decide, and `saw` has no hash.
/// - A bridge has the contents, because servers cut stamps, give their own, or return none.
/// - A replica has both. A restored store may have given a lost stamp to another version.
struct Version {
    Stamp stamp{};
    std::optional<std::uint64_t> contents{};

    friend constexpr bool operator==(const Version&, const Version&) noexcept = default;
    friend constexpr std::strong_ordering operator<=>(const Version&,
                                                      const Version&) noexcept = default;
};

/// How two versions with a common base relate.
enum class Relation : std::uint8_t {
    same,
    mine_newer,    ///< theirs is the base, and mine replaces it
    theirs_newer,  ///< mine is the base, and theirs replaces it
    both           ///< both have replaced the base, or no base is known
};

/// Returns the relation of two versions. It compares no times. Each caller has a policy for *both*.
[[nodiscard]] constexpr Relation relation(const std::optional<Version>& base, const Version& mine,
                                          const Version& theirs) noexcept {
    if (mine == theirs) return Relation::same;
    if (base == theirs) return Relation::mine_newer;
    return base == mine ? Relation::theirs_newer : Relation::both;
}

}}}  // namespace belay::detail

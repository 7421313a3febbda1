// SPDX-License-Identifier: MIT
/// \file belay/link/detail/final_failures.hpp
/// FinalFailures: the endpoints of a list whose last failure was final.
#pragma once

#include <cstddef>  // std::size_t
#include <vector>   // std::vector

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns whether a failure of this cause ends a link to one endpoint: it is not tried again.
[[nodiscard]] constexpr bool is_final(Cause cause) noexcept {
    return cause == Cause::permanent || cause == Cause::forbidden || cause == Cause::unauthorized;
}

/// Decides whether a link whose attempt failed finally at one endpoint tries another one.
///
/// Thread safety: distinct objects safe.
class FinalFailures {
public:
    /// The place of an endpoint that is not in the list any more.
    static constexpr std::size_t unlisted = ~std::size_t{0};

    /// Throws: std::bad_alloc.
    explicit FinalFailures(std::size_t endpoints) : has_failed_(endpoints) {}

    /// Returns the same for a new list. It keeps how often the credentials were rejected, because
    /// the new endpoints get the same ones.   Throws: std::bad_alloc.
    [[nodiscard]] FinalFailures with_list(std::size_t endpoints) const {
        FinalFailures fresh{endpoints};
        fresh.rejections_ = rejections_;
        fresh.has_ended_ = has_ended_;
        return fresh;
    }

    /// Makes ready for an attempt at an endpoint. If `anew`, or if the last final failure has ended
    /// the link, it forgets all failures.
    void begin(std::size_t place, bool anew) noexcept {
        if (anew || has_ended_) {
            has_failed_.assign(has_failed_.size(), false);
            failed_ = 0;
            rejected_at_ = unlisted;
            rejections_ = 0;
            has_ended_ = false;
        }
        if (has_failed_[place]) --failed_;
        has_failed_[place] = false;
    }
    /// Notes that the attempt at an endpoint, or at one that is `unlisted`, has failed finally.
    ///
    /// Returns whether the link tries another endpoint. If not, all of them have failed finally. Or
    /// another endpoint, or this one for the third time, has rejected the credentials: all
    /// endpoints get the same ones, and many rejections could lock the user out.
    [[nodiscard]] bool has_alternative(std::size_t place, Cause cause) noexcept {
        constexpr unsigned rejections_max = 3;
        if (place != unlisted) {
            if (!has_failed_[place]) ++failed_;
            has_failed_[place] = true;
        }
        has_ended_ = failed_ == has_failed_.size();
        if (cause == Cause::unauthorized) {
            if (rejected_at_ != unlisted && rejected_at_ != place) has_ended_ = true;
            if (++rejections_ == rejections_max) has_ended_ = true;
            rejected_at_ = place;
        }
        return !has_ended_;
    }

private:
    std::vector<bool> has_failed_;  // whether the last attempt at each endpoint failed finally
    std::size_t failed_ = 0;        // how many of them
    std::size_t rejected_at_ = unlisted;  // the endpoint that rejected the credentials
    unsigned rejections_ = 0;             // how often any endpoint did
    bool has_ended_ = false;              // no other one was tried after the last final failure
};

}}}  // namespace belay::detail

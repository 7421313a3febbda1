// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/state.hpp
/// LibcState: the state of a simulated process that is not a descriptor.
#pragma once

#include <getopt.h>        // optind
#include <stdlib.h>        // random_r, drand48_r
#include <sys/resource.h>  // rlimit
#include <sys/stat.h>      // mode_t
#include <unistd.h>        // environ

#include <cstdint>  // std::uint64_t
#include <string>   // std::string
#include <utility>  // std::swap, std::exchange
#include <vector>   // std::vector

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The random numbers of rand() and drand48(), the environment, the limits, the mask of modes, the
/// variables of getopt(), and the number of a process.
///
/// Thread safety: one thread.
class LibcState {
public:
    /// The limit of descriptors. Their numbers are below it.
    static constexpr rlim_t descriptors_max = 1024;

    /// As after fork(), the environment is a copy of the test's.
    explicit LibcState(std::uint64_t bits) : pid_{static_cast<int>(2 + bits % 32'766)} {
        initstate_r(1, random_state_, sizeof random_state_, &random_);
        for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
            variables_.push_back(*variable);
        }
        variables_.push_back(nullptr);
        globals_.environment = variables_.data();
    }
    LibcState(const LibcState&) = delete;
    LibcState& operator=(const LibcState&) = delete;

    /// Exchanges the variables of the C library with those of the test, or back.
    void exchange() noexcept {
        std::swap(environ, globals_.environment);
        std::swap(optind, globals_.optind_);
        std::swap(opterr, globals_.opterr_);
        std::swap(optopt, globals_.optopt_);
        std::swap(optarg, globals_.optarg_);
    }
    [[nodiscard]] random_data& random() noexcept { return random_; }
    [[nodiscard]] drand48_data& drand48() noexcept { return drand48_; }
    [[nodiscard]] int pid() const noexcept { return pid_; }
    mode_t set_mask(mode_t mask) noexcept { return std::exchange(mask_, mask & 0777); }
    [[nodiscard]] mode_t mask() const noexcept { return mask_; }
    /// The current directory, without a slash at its end. The root is the empty name.
    [[nodiscard]] std::string& directory() noexcept { return directory_; }
    [[nodiscard]] rlim_t descriptors() const noexcept { return descriptors_.rlim_cur; }
    /// Returns a limit; null if there is none.
    [[nodiscard]] rlimit* limit(int resource) noexcept {
        return resource == RLIMIT_NOFILE ? &descriptors_
               : resource == RLIMIT_CORE ? &core_
                                         : nullptr;
    }

private:
    struct Globals {
        char** environment = nullptr;
        int optind_ = 1;
        int opterr_ = 1;
        int optopt_ = '?';
        char* optarg_ = nullptr;
    };

    std::vector<char*> variables_;
    Globals globals_;
    random_data random_{};
    char random_state_[128]{};
    drand48_data drand48_{};
    rlimit descriptors_{descriptors_max, descriptors_max};
    rlimit core_{0, RLIM_INFINITY};
    mode_t mask_ = 022;
    std::string directory_;
    int pid_;
};

}}}  // namespace belay::detail

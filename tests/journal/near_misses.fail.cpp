// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/log_like.hpp>

#include "support/queue/queue_archetypes.hpp"

// expect-error: FileSystemLike: S needs both 'yield
namespace yield_without_now {
struct Files : belay_test::MinimalFileSystem {
    void yield() noexcept {}
#if defined(BELAY_CONTROL)
    belay::Instant now() noexcept { return belay::always; }
#endif
};
static_assert(belay::explain::file_system_like<Files>());
}  // namespace yield_without_now

// expect-error: FileSystemLike: S needs both 'yield
namespace yield_that_throws {
struct Files : belay_test::MinimalFileSystem {
#if defined(BELAY_CONTROL)
    void yield() noexcept {}
#else
    void yield() {}
#endif
    belay::Instant now() noexcept { return belay::always; }
};
static_assert(belay::explain::file_system_like<Files>());
}  // namespace yield_that_throws

// expect-error: FileSystemLike: S needs both 'yield
namespace now_of_another_kind {
struct Files : belay_test::MinimalFileSystem {
    void yield() noexcept {}
#if defined(BELAY_CONTROL)
    belay::Instant now() noexcept { return belay::always; }
#else
    template <class T = int>
    T now() noexcept {
        return 0;
    }
#endif
};
static_assert(belay::explain::file_system_like<Files>());
}  // namespace now_of_another_kind

// expect-error: FileSystemLike: S needs both 'yield
namespace yield_that_is_private {
class Files : public belay_test::MinimalFileSystem {
#if defined(BELAY_CONTROL)
public:
#endif
    void yield() noexcept {}

public:
    belay::Instant now() noexcept { return belay::always; }
};
static_assert(belay::explain::file_system_like<Files>());
}  // namespace yield_that_is_private

// expect-error: FileSystemLike: S needs both 'yield
namespace now_alone {
struct Files : belay_test::MinimalFileSystem {
#if defined(BELAY_CONTROL)
    void yield() noexcept {}
#endif
    belay::Instant now() noexcept { return belay::always; }
};
static_assert(belay::explain::file_system_like<Files>());
}  // namespace now_alone

// expect-error: LogLike: optional members must be 'acked_durable.. const noexcept
namespace log_whose_acknowledgements_nobody_asks_for {
// An acknowledgement without space would count as durable.
struct Log : belay_test::MinimalSequenced {
#if defined(BELAY_CONTROL)
    std::uint64_t acked_durable() const noexcept { return 0; }
#else
    std::uint64_t acked_durable() const { return 0; }
#endif
};
static_assert(belay::explain::log_like<Log>());
}  // namespace log_whose_acknowledgements_nobody_asks_for

// expect-error: LogLike: S is a Result; test it, and pass its value
namespace log_that_is_a_result {
using Log = belay_test::MinimalSequenced;
#if defined(BELAY_CONTROL)
static_assert(belay::explain::log_like<Log>());
#else
static_assert(belay::explain::log_like<belay::Result<Log>>());
#endif
}  // namespace log_that_is_a_result

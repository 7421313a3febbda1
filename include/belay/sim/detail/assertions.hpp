// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/assertions.hpp
/// Counts failed assertions of Catch2 and GoogleTest, without their headers.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t

#include <belay/core/assert.hpp>

// Declarations of Catch2, versions 2 and 3, and of GoogleTest. Their headers complete them, if the
// test includes them.
#if defined(__clang__)
#    pragma clang diagnostic push
#    pragma clang diagnostic ignored "-Wmismatched-tags"
#endif
namespace Catch {
struct Counts;
struct IResultCapture;
struct SectionInfo;
struct SourceLineInfo;
IResultCapture& getResultCapture();
}  // namespace Catch
namespace testing {
class UnitTest;
}
#if defined(__clang__)
#    pragma clang diagnostic pop
#endif

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

using CountFailures = std::uint64_t (*)();
inline constexpr std::uint64_t not_counted = ~std::uint64_t{0};

/// Returns how many assertions of the current test have failed.
template <class UnitTest>
[[nodiscard]] std::uint64_t count_of_google_test() {
    std::uint64_t failed = 0;
    if (const auto* const test = UnitTest::GetInstance()->current_test_info()) {
        const auto& result = *test->result();
        for (int i = 0; i < result.total_part_count(); ++i) {
            if (result.GetTestPartResult(i).failed()) ++failed;
        }
    }
    return failed;
}
/// Returns how many assertions have failed; not_counted if Catch2 does not count them now.
///
/// Catch2 gives the count to a section that begins. The section would change the test and its
/// report, so call this in a process of its own.
template <class Capture, class Counts, class Info, class Line>
[[nodiscard]] std::uint64_t count_of_catch() {
    Counts counts{};
    counts.failed = static_cast<decltype(counts.failed)>(not_counted);
    const auto begin = [&counts](Capture& capture) {
        const Line line{__FILE__, std::size_t{__LINE__}};
        if constexpr (requires { capture.sectionStarted("", line, counts); }) {
            static_cast<void>(capture.sectionStarted("sim::explore", line, counts));
        } else {
            static_cast<void>(capture.sectionStarted(Info{line, "sim::explore"}, counts));
        }
    };
#if defined(__cpp_exceptions)
    try {
        begin(Catch::getResultCapture());
    } catch (...) {
        return 0;  // no test runs
    }
#else
    begin(Catch::getResultCapture());
#endif
    return counts.failed;
}

/// The functions that count failed assertions of the framework that a test includes.
struct FrameworkCounts {
    CountFailures at_any_time = nullptr;
    CountFailures in_own_process = nullptr;
};
/// `Body` is that of the exploration: another source file may not include the framework.
template <class Body, class UnitTest = testing::UnitTest, class Capture = Catch::IResultCapture,
          class Counts = Catch::Counts, class Info = Catch::SectionInfo,
          class Line = Catch::SourceLineInfo>
[[nodiscard]] FrameworkCounts framework_counts() {
    FrameworkCounts counts;
    if constexpr (requires { sizeof(UnitTest); }) {
        counts.at_any_time = &count_of_google_test<UnitTest>;
    }
    if constexpr (requires {
                      sizeof(Capture);
                      sizeof(Counts);
                  }) {
        counts.in_own_process = &count_of_catch<Capture, Counts, Info, Line>;
    }
    return counts;
}

}}}  // namespace belay::sim::detail

// SPDX-License-Identifier: MIT
// Goal: a Journal on real files is a storage like any other. Method: the storage check, with files
// of the smallest and of the usual size, in every mode.
#include <belay/posix/journal.hpp>

#include <filesystem>

#include "support/catch.hpp"
#include "support/displacer.hpp"
#include "support/queue/storage_conformance.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;

namespace {

Bytes bytes_for(std::uint64_t i) {
    Bytes bytes(i * 7919 % 200);
    for (std::size_t k = 0; k < bytes.size(); ++k) bytes[k] = static_cast<std::byte>(i + k);
    return bytes;
}

}  // namespace

TEST_CASE("check::storage finds no fault in Journal on files", "[posix][journal][property]") {
    const belay_test::TemporaryDirectory dir;
    for (const Flush flush : {Flush::group, Flush::none, Flush::each}) {
        for (const std::size_t segment_bytes : {std::size_t{4096}, std::size_t{16} << 20}) {
            // This mode waits for the disk in each operation: the smallest files, and few
            // operations.
            const bool waits = flush == Flush::each;
            if (waits && segment_bytes != 4096) continue;
            const JournalOptions options{
                .flush = flush, .segment_bytes = segment_bytes, .record_bytes_max = 256};
            std::size_t journals = 0;
            const auto open = [&] {
                auto journal = posix::Journal::open(dir / std::to_string(journals), options);
                REQUIRE(journal);
                return std::move(*journal);
            };
            const auto make = [&] {
                ++journals;
                std::filesystem::remove_all(dir / std::to_string(journals));
                return open();
            };
            INFO("mode " << static_cast<int>(flush) << ", segments of " << segment_bytes);
            belay_test::check_storage_conformance(make, bytes_for, open,
                                                  {.histories = waits ? 2U : 5U,
                                                   .steps = waits ? 50U : 100U,
                                                   .fill = waits ? 50U : 200U});
            for (const auto meanwhile :
                 {belay_test::Meanwhile::nothing, belay_test::Meanwhile::copy}) {
                const belay_test::Displacer displace{[&] { return dir / std::to_string(journals); },
                                                     meanwhile};
                belay_test::check_storage_conformance(make, bytes_for, open, displace,
                                                      {.histories = 0, .steps = 0, .fill = 2});
            }
            belay_test::check_under_queue(make());
        }
    }
}

// SPDX-License-Identifier: MIT
/// \file tests/support/one_bad_item.hpp
/// The rows of docs/reference/one-bad-item.md, each of which a test file of its component checks.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/catch.hpp"
#include "support/page.hpp"

namespace belay_test {

/// One component, with the functions that return the text of its cells after they have checked it.
struct BadItemRow {
    using Cell = std::string (*)();
    const char* component;
    Cell unreadable;
    Cell unprocessable;
    Cell medium;
    Cell too_large;
};

/// A cell of something that the component does not have.
inline std::string no_bad_item() { return "-"; }

/// Runs the cells, and compares the rows with those of the page; see check_row_of_page.
inline void check_bad_item_rows(std::span<const BadItemRow> rows) {
    for (const BadItemRow& row : rows) {
        INFO(row.component);
        std::string line = std::string{"| "} + row.component;
        for (const BadItemRow::Cell cell :
             {row.unreadable, row.unprocessable, row.medium, row.too_large}) {
            line += " | " + cell();
        }
        check_row_of_page("reference/one-bad-item.md", line + " |");
    }
}

/// The error of a medium that passes.
inline std::error_code passing_error() { return std::make_error_code(std::errc::io_error); }

/// A journal with small files, and records of at most 512 bytes.
inline belay::Journal<belay::sim::Disk> small_journal(belay::sim::Disk& disk) {
    auto journal = belay::Journal<belay::sim::Disk>::open(
        disk, "j", {.segment_bytes = 4096, .record_bytes_max = 512, .seed = belay::Seed{1}});
    REQUIRE(journal);
    return std::move(*journal);
}

/// Overwrites the first byte of a text in the files of a disk.
inline void damage_text(belay::sim::Disk& disk, std::string_view text) {
    for (const auto& [path, bytes] : disk.image()) {
        const auto at = belay::as_text(bytes).find(text);
        if (at == std::string_view::npos) continue;
        auto file = disk.open(path, belay::OpenMode::write);
        REQUIRE(file);
        REQUIRE_FALSE(file->write(at, belay::as_bytes("?")));
        return;
    }
    FAIL("the text is in no file");
}

/// Calls `store`, which returns whether it succeeded, with one failing operation of the disk.
inline void check_passing_error(belay::sim::Disk& disk, const std::function<bool()>& store) {
    disk.fail_at(disk.operations() + 1, passing_error());
    CHECK_FALSE(store());
    CHECK(store());
}

}  // namespace belay_test

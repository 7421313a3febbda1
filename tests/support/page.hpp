// SPDX-License-Identifier: MIT
/// \file tests/support/page.hpp
/// block_of_page: a block of a page in docs/, so that a test runs what readers copy.
#pragma once

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "support/beside_program.hpp"
#include "support/catch.hpp"

#if !defined(BELAY_PAGES)
#    define BELAY_PAGES "docs"
#endif

namespace belay_test {

/// Returns the text of a page.
inline std::string page_text(const std::string& page) {
    std::ifstream file{beside_program(BELAY_PAGES) + "/" + page};
    std::stringstream all;
    all << file.rdbuf();
    return all.str();
}

/// Returns the text of the only block of the page that begins with `begin`.
inline std::string block_of_page(const std::string& page, const std::string& begin) {
    const std::string text = page_text(page);
    const std::size_t at = text.find("\n" + begin);
    INFO("docs/" << page << ": " << begin);
    REQUIRE(at != std::string::npos);
    REQUIRE(text.find("\n" + begin, at + 1) == std::string::npos);
    return text.substr(at + 1, text.find("\n```", at) - at);
}

using PageRow = std::vector<std::string>;

/// Returns the rows of the first table of the page whose head begins so, without backquotes.
inline std::vector<PageRow> table_of_page(const std::string& page, const std::string& head) {
    std::istringstream text{page_text(page)};
    std::vector<PageRow> rows;
    std::string line;
    while (std::getline(text, line) && !line.starts_with(head)) {
    }
    std::getline(text, line);  // | --- | --- |
    while (std::getline(text, line) && line.starts_with("|")) {
        std::erase(line, '`');
        std::istringstream cells{line.substr(1)};
        std::string cell;
        rows.emplace_back();
        while (std::getline(cells, cell, '|')) {
            rows.back().push_back(cell.size() < 2 ? "" : cell.substr(1, cell.size() - 2));
        }
    }
    INFO("docs/" << page << ": " << head);
    REQUIRE(rows.size() > 5);
    return rows;
}

/// Checks that the page has this row of a table. With BELAY_WRITE_PAGES=1, writes it in place of the
/// row with the same first cell.
inline void check_row_of_page(const std::string& page, const std::string& row) {
    std::string text = page_text(page);
    if (std::getenv("BELAY_WRITE_PAGES") != nullptr) {
        const std::size_t at = text.find("\n" + row.substr(0, row.find(" | ") + 3)) + 1;
        INFO(row);
        REQUIRE(at != 0);
        text.replace(at, text.find('\n', at) - at, row);
        std::ofstream{beside_program(BELAY_PAGES) + "/" + page} << text;
    }
    INFO("docs/" << page << ": " << row);
    CHECK(text.find("\n" + row + "\n") != std::string::npos);
}

/// Replaces the only occurrence of `what` in the text.
inline void replace_in_block(std::string& text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    INFO(what);
    REQUIRE(at != std::string::npos);
    text.replace(at, what.size(), by);
}

}  // namespace belay_test

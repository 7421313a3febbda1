// SPDX-License-Identifier: MIT
/// \file belay/sqlite/detail/record_check.hpp
/// record_check: the checksum of an operation in a database that has no checksums of its own.
#pragma once

#include <cstdint>  // std::uint32_t

#include <belay/core/bytes.hpp>
#include <belay/core/crc32c.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the CRC32C of the number, 8 bytes little endian, and the body. So it also detects a body
/// that is stored under another number.
[[nodiscard]] inline std::uint32_t record_check(std::uint64_t number, BytesView body) noexcept {
    std::byte bytes[8];
    store_le(bytes, number);
    return part::crc32c(body, part::crc32c(bytes));
}

}}}  // namespace belay::detail

/// Versions of the library.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_VERSION_HPP
#define TOLLGATE_VERSION_HPP

#include "../tollgate.h"

#include <string_view>

namespace tollgate {

/// Returns the version of the library at run time, for example "0.1.0".
[[nodiscard]] inline std::string_view version() noexcept { return tollgate_version(); }

/// Returns whether the library at run time has the ABI of this header. If not, the program must be
/// rebuilt.
[[nodiscard]] inline bool abi_matches() noexcept {
    return tollgate_abi_version() == TOLLGATE_ABI_VERSION;
}

} // namespace tollgate

#endif

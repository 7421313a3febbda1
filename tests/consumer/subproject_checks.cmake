# SPDX-License-Identifier: MIT
# As part of another project, belay brings no targets, tests, flags or definitions.
foreach(target IN ITEMS belay_dev belay_test_main)
    if(TARGET ${target})
        message(FATAL_ERROR "belay built ${target} inside another project")
    endif()
endforeach()
foreach(property IN ITEMS INTERFACE_COMPILE_OPTIONS INTERFACE_COMPILE_DEFINITIONS)
    get_target_property(value belay ${property})
    if(value)
        message(FATAL_ERROR "belay imposes ${property} on its users: ${value}")
    endif()
endforeach()

# Tab completion of mldlc for bash: eval "$(mldlc completion bash)"
_mldlc() {
    local IFS=$'\n'
    COMPREPLY=($(COMP_WORDBREAKS="$COMP_WORDBREAKS" "$1" completion --answer bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=./,:] ]]; then
        compopt -o nospace
    fi
}
complete -F _mldlc mldlc
